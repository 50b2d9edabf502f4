"""How a trained model does on the photos of items that it never saw."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from embedder_service.judging.baselines import untrained_model
from embedder_service.model import EmbeddingModel
from embedder_service.training.augment import load_pixels
from embedder_service.training.data import Catalogue, Photo
from embedder_service.training.settings import FinetuneSettings
from embedder_service.training.starting import model_spec

Vectors = npt.NDArray[np.float32]

COSTS = ("as they come", "l2", "l2, pca 256", "l2, pca 128", "l2, pca 64")
_BATCH = 64


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Shares of the new items' photos: their own item comes first; their class is among the first.

    `costs` are recalls@1 by what is done to the vectors, in COSTS' words; distances are Euclidean,
    which of vectors of length 1 rank as cosines do.
    """

    recall_at_1: float
    top_1: float
    top_3: float
    top_5: float
    costs: dict[str, float]
    photos_per_second: float = 0.0


def judged(catalogue: Catalogue, model: EmbeddingModel) -> Judged:
    """Every photo of a new item is looked for among all other photos."""
    photos = catalogue.photos
    raw = raw_vectors(model, photos)
    new = np.array([photo.item_id in catalogue.new_items for photo in photos])
    items = np.array([photo.item_id for photo in photos])
    train = np.array([photo.split == "train" for photo in photos])
    costs = _costs(raw, items, new, train)
    ranks = _class_ranks(model, raw[new], [photos[row] for row in np.flatnonzero(new)])
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
    return judged_recall(catalogue, _unit(raw_vectors(model, catalogue.photos)))


def judged_recall(catalogue: Catalogue, vectors: Vectors) -> float:
    """recall@1 of the new items' photos among all others."""
    items = np.array([photo.item_id for photo in catalogue.photos])
    new = np.array([photo.item_id in catalogue.new_items for photo in catalogue.photos])
    return _recall(vectors, items, new)


def raw_vectors(model: EmbeddingModel, photos: tuple[Photo, ...]) -> Vectors:
    """Before normalisation, float32 [photos, dimension]; on a GPU where there is one."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device).eval()
    parts = []
    with torch.inference_mode():
        for start in range(0, len(photos), _BATCH):
            part = photos[start : start + _BATCH]
            pixels = load_pixels(part, model.spec.preprocessing).to(device)
            parts.append(model.raw(pixels).float().cpu().numpy())
    model.cpu()
    return np.concatenate(parts)


def _costs(
    raw: Vectors,
    items: npt.NDArray[np.str_],
    new: npt.NDArray[np.bool_],
    train: npt.NDArray[np.bool_],
) -> dict[str, float]:
    unit = _unit(raw)
    # The principal directions of what was trained on; the new items have no say.
    _, _, directions = np.linalg.svd(unit[train] - unit[train].mean(0), full_matrices=False)
    kept = {
        f"l2, pca {width}": _unit((unit - unit[train].mean(0)) @ directions[:width].T)
        for width in (256, 128, 64)
    }
    kinds = {"as they come": raw, "l2": unit, **kept}
    return {name: _recall(vectors, items, new) for name, vectors in kinds.items()}


def _recall(vectors: Vectors, items: npt.NDArray[np.str_], new: npt.NDArray[np.bool_]) -> float:
    queries = np.flatnonzero(new)
    squares = (vectors**2).sum(1)
    found = []
    for part in np.array_split(queries, max(1, len(queries) // 512)):
        distances = squares - 2 * vectors[part] @ vectors.T
        distances[np.arange(len(part)), part] = np.inf
        found.append(items[distances.argmin(1)] == items[part])
    return float(np.concatenate(found).mean())


def _class_ranks(model: EmbeddingModel, raw: Vectors, photos: list[Photo]) -> npt.NDArray[np.int64]:
    """The place of each photo's class among the classifier's, from 0."""
    classes = {name: number for number, name in enumerate(model.spec.classes)}
    own = torch.tensor([classes[photo.category] for photo in photos]).unsqueeze(1)
    with torch.inference_mode():
        logits = model.classify(torch.from_numpy(raw))
        ranks = (logits > logits.gather(1, own)).sum(1)
    return np.asarray(ranks.numpy(), np.int64)


def _unit(vectors: Vectors) -> Vectors:
    return np.asarray(
        vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12), np.float32
    )
