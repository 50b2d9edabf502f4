"""How a trained model does on the photos of items that it never saw."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from embedder_service.judging.baselines import untrained_model
from embedder_service.model import EmbeddingModel
from embedder_service.training.data import Catalogue, Photo
from embedder_service.training.pixels import Pixels
from embedder_service.training.settings import FinetuneSettings
from embedder_service.training.starting import model_spec

Vectors = npt.NDArray[np.float32]

_WIDTHS = (256, 128, 64)
COSTS = ("as they come", "l2", *(f"l2, pca {width}" for width in _WIDTHS))
_BATCH = 64


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Shares of photos: their own item comes first; their class is among the first of the model's.

    Items are looked for with the photos of those that no training saw, classes told on the test
    split. `costs` are recalls@1 by what is done to the vectors, in COSTS' words; distances are
    Euclidean, which of vectors of length 1 rank as cosines do.
    """

    recall_at_1: float
    top_1: float
    top_3: float
    top_5: float
    costs: dict[str, float]
    photos_per_second: float = 0.0


def judged(catalogue: Catalogue, model: EmbeddingModel) -> Judged:
    """Every query is looked for among all other photos."""
    raw = raw_vectors(model, catalogue.photos)
    costs = _costs(raw, catalogue)
    ranks = _class_ranks(model, raw, catalogue)
    return Judged(
        recall_at_1=costs["l2"],
        top_1=float((ranks < 1).mean()),
        top_3=float((ranks < 3).mean()),
        top_5=float((ranks < 5).mean()),
        costs=costs,
    )


def untrained(catalogue: Catalogue, settings: FinetuneSettings) -> float:
    """recall@1 of the same backbone before any training, its BatchNorm fitted to the photos."""
    model = untrained_model(model_spec(settings, ()), catalogue.of("train"))
    return _recall(_unit(raw_vectors(model, catalogue.photos)), catalogue)


def raw_vectors(model: EmbeddingModel, photos: tuple[Photo, ...]) -> Vectors:
    """Before normalisation, float32 [photos, dimension]; on a GPU where there is one."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device).eval()
    pixels = Pixels(photos, model.spec.preprocessing.crop, threads=0, in_memory=False)
    parts = torch.split(torch.arange(len(photos)), _BATCH)
    with torch.inference_mode():
        vectors = [model.raw(part.to(device)).float().cpu().numpy() for part in pixels.parts(parts)]
    model.cpu()
    return np.concatenate(vectors)


def _costs(raw: Vectors, catalogue: Catalogue) -> dict[str, float]:
    unit = _unit(raw)
    # The principal directions of what was trained on; the queries have no say.
    train = unit[[photo.split == "train" for photo in catalogue.photos]]
    _, directions = np.linalg.eigh(np.cov(train.T))
    centred = unit - train.mean(0)
    kinds = {"as they come": raw, "l2": unit}
    for width in _WIDTHS:
        kinds[f"l2, pca {width}"] = _unit(centred @ directions[:, -width:].astype(np.float32))
    return {name: _recall(vectors, catalogue) for name, vectors in kinds.items()}


def _recall(vectors: Vectors, catalogue: Catalogue) -> float:
    """recall@1 of the new items' photos, or the catalogue's queries where no item is new."""
    photos = catalogue.photos
    held_out = {photo.photo_id for photo in catalogue.queries}
    queries = [
        row
        for row, photo in enumerate(photos)
        if (
            photo.item_id in catalogue.new_items
            if catalogue.new_items
            else photo.photo_id in held_out
        )
    ]
    _, items = np.unique([photo.item_id for photo in photos], return_inverse=True)
    squares = (vectors**2).sum(1)
    found = []
    for part in np.array_split(queries, -(-len(queries) // _BATCH)):
        distances = squares - 2 * vectors[part] @ vectors.T
        distances[np.arange(len(part)), part] = np.inf
        found.append(items[distances.argmin(1)] == items[part])
    return float(np.concatenate(found).mean())


def _class_ranks(
    model: EmbeddingModel, raw: Vectors, catalogue: Catalogue
) -> npt.NDArray[np.int64]:
    """The place of each test photo's class among the classifier's, from 0."""
    classes = {name: number for number, name in enumerate(model.spec.classes)}
    rows = [
        row
        for row, photo in enumerate(catalogue.photos)
        if photo.split == "test" and photo.category in classes
    ]
    own = torch.tensor([classes[catalogue.photos[row].category] for row in rows]).unsqueeze(1)
    with torch.inference_mode():
        logits = model.classify(torch.from_numpy(raw[rows]))
        return np.asarray((logits > logits.gather(1, own)).sum(1).numpy(), np.int64)


def _unit(vectors: Vectors) -> Vectors:
    return np.asarray(
        vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12), np.float32
    )
