"""A model's figures in one small table: what a training prints and a model card keeps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from embedder_service.judging.baselines import colour_histograms, untrained_model
from embedder_service.judging.embedding import embed_photos
from embedder_service.judging.ranking import DEPTH, Found, Labels, find
from embedder_service.judging.retrieval import precision_at_ten
from embedder_service.model import EmbeddingModel
from embedder_service.training.data import Catalogue, Photo

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Means over the queries, 0..1; None where the catalogue's labels cannot say.

    `item_recall_at_1`: the nearest photo is of the query's item. `new_item_recall_at_1`: the same
    for items that no training saw. `item_precision_at_10`: of the ten nearest, those of the item,
    over as many as there are (ten at most). `category_...`: the same by category.
    """

    item_recall_at_1: float | None = None
    new_item_recall_at_1: float | None = None
    item_precision_at_10: float | None = None
    category_recall_at_1: float | None = None
    category_precision_at_10: float | None = None

    def as_dict(self) -> dict[str, float]:
        """The figures that are known."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class Row:
    """One line of the table of figures."""

    name: str
    figures: Figures


def evaluate(catalogue: Catalogue, model: EmbeddingModel, seed: int = 0) -> list[Row]:
    """Four rows: chance, colour histogram, the same backbone untrained, and the model.

    Searches the catalogue's gallery with its queries by cosine, exactly. Without queries every
    figure is None.
    """
    parts = catalogue.queries, catalogue.gallery
    untrained = untrained_model(model.spec, catalogue.gallery, seed)
    vectors = {
        "colour histogram": [colour_histograms(part) for part in parts],
        "untrained": [embed_photos(untrained, part) for part in parts],
        "fine-tuned": [embed_photos(model, part) for part in parts],
    }
    rows = [Row(name, figures(catalogue, *pair)) for name, pair in vectors.items()]
    return [Row("chance", chance(catalogue)), *rows]


def figures(catalogue: Catalogue, queries: Vectors, gallery: Vectors) -> Figures:
    """The figures of vectors of length 1: float32 [queries, d] and [gallery photos, d]."""
    return _figures(
        catalogue, queries, gallery, lambda found: found.first == 1, lambda found: found
    )


def chance(catalogue: Catalogue) -> Figures:
    """What a random order would give on average, computed."""
    queries, gallery = (
        np.zeros((len(part), 1), np.float32) for part in (catalogue.queries, catalogue.gallery)
    )
    return _figures(
        catalogue, queries, gallery, lambda found: found.relevant / found.gallery, _expected
    )


def _figures(
    catalogue: Catalogue,
    queries: Vectors,
    gallery: Vectors,
    is_first: Callable[[Found], npt.NDArray[Any]],
    counted: Callable[[Found], Found],
) -> Figures:
    if not (catalogue.queries and catalogue.gallery):
        return Figures()
    labels = _labels(catalogue, lambda photo: photo.item_id), _labels(catalogue, _category)
    (of_items, of_categories), _ = find(queries, gallery, labels)
    is_new = np.array([photo.item_id in catalogue.new_items for photo in catalogue.queries], bool)
    new, items, categories = (
        each.answerable() for each in (of_items.of(is_new), of_items, of_categories)
    )
    possible = np.clip(items.relevant, 1, DEPTH)
    return Figures(
        item_recall_at_1=_mean(is_first(items)),
        new_item_recall_at_1=_mean(is_first(new)),
        item_precision_at_10=_mean(counted(items).among_ten / possible),
        category_recall_at_1=_mean(is_first(categories)),
        category_precision_at_10=_mean(precision_at_ten(counted(categories))),
    )


def _expected(found: Found) -> Found:
    """As a random order has it."""
    among_ten = found.relevant * np.minimum(DEPTH, found.gallery) / found.gallery
    return Found(**{**vars(found), "among_ten": among_ten})


def _labels(catalogue: Catalogue, label: Callable[[Photo], str]) -> Labels:
    return Labels.of(*([label(p) for p in part] for part in (catalogue.queries, catalogue.gallery)))


def _category(photo: Photo) -> str:
    return photo.category


def _mean(shares: npt.NDArray[Any]) -> float | None:
    return float(np.mean(shares)) if shares.size else None
