"""What the distance, the vectors' length and their width change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from embedder_service.judging import retrieval
from embedder_service.judging.contestants import Contestant
from embedder_service.judging.distances import Measure, cosine, euclidean, manhattan
from embedder_service.judging.findings import Variant, Variants
from embedder_service.judging.ranking import Labels, find
from embedder_service.judging.reduction import reductions
from embedder_service.judging.retrieval import Retrieval
from embedder_service.judging.trial import LABELS, Trial, sample

Vectors = npt.NDArray[np.float32]

WIDTHS = (256, 128, 64)
_COLUMNS = ("raw", "length 1", *(f"PCA {width}" for width in WIDTHS))
_MOST_QUERIES = 1_000
_DISTANCES = {
    "cosine": (True, cosine),
    "euclidean, length 1": (True, euclidean),
    "euclidean, raw": (False, euclidean),
    "manhattan, length 1": (True, manhattan),
    "manhattan, raw": (False, manhattan),
}


def by_distance(trial: Trial, contestants: Sequence[Contestant], by: str) -> Variants:
    """Three distances, between vectors as they come and of length 1; `by` item or category."""
    asked, labels = _asked(trial, by)

    def figures(each: Contestant, name: str) -> Retrieval | None:
        is_unit, measure = _DISTANCES[name]
        of = each.vectors.__getitem__ if is_unit else each.raw
        return _figures(asked, labels, of(asked.queries), of(asked.gallery), measure)

    rows = [
        _variant(each, {name: figures(each, name) for name in _DISTANCES}) for each in contestants
    ]
    return _variants(asked, labels, by, tuple(_DISTANCES), rows, {})


def by_dimension(trial: Trial, contestants: Sequence[Contestant], by: str) -> Variants:
    """As they come, of length 1, and of length 1 again after a PCA of the gallery.

    A width that the gallery has too few photos for has no column.
    """
    asked, labels = _asked(trial, by)
    made, kept = [], {}
    for each in contestants:
        figures = {"raw": _figures(asked, labels, each.raw(asked.queries), each.raw(asked.gallery))}
        queries, gallery = each.vectors[asked.queries], each.vectors[asked.gallery]
        figures["length 1"] = _figures(asked, labels, queries, gallery)
        found = reductions(gallery, WIDTHS)
        for one in found:
            figures[f"PCA {one.width}"] = _figures(asked, labels, one(queries), one(gallery))
        kept = {f"PCA {one.width}": one.share for one in found}
        made.append(figures)
        del queries, gallery  # the next one's are not to stand beside them
    columns = tuple(sorted({name for each in made for name in each}, key=_COLUMNS.index))
    rows = [
        _variant(each, {name: figures.get(name) for name in columns})
        for each, figures in zip(contestants, made, strict=True)
    ]
    return _variants(asked, labels, by, columns, rows, kept)


def _figures(
    asked: Trial, labels: Labels, queries: Vectors, gallery: Vectors, measure: Measure = euclidean
) -> Retrieval | None:
    (found,), _ = find(queries, gallery, [labels], asked.own, measure)
    return retrieval.retrieval(found)


def _asked(trial: Trial, by: str) -> tuple[Trial, Labels]:
    asked = Trial(
        kind=trial.kind,
        photos=trial.photos,
        queries=sample(trial.queries, _MOST_QUERIES),
        gallery=trial.gallery,
        asked=trial.asked,
    )
    return asked, asked.labels(LABELS[by])


def _variant(contestant: Contestant, figures: Mapping[str, Retrieval | None]) -> Variant:
    return Variant(
        name=contestant.name,
        is_judged=contestant.is_judged,
        recall_at_1={name: _recall(each) for name, each in figures.items()},
        mean_average_precision={name: _precision(each) for name, each in figures.items()},
    )


def _variants(
    asked: Trial,
    labels: Labels,
    by: str,
    columns: tuple[str, ...],
    rows: Sequence[Variant],
    kept: Mapping[str, float],
) -> Variants:
    blank = np.zeros((len(asked.photos), 1), np.float32)
    (found,), _ = find(blank[asked.queries], blank[asked.gallery], [labels], asked.own)
    random = retrieval.chance(found)
    chance = Variant(
        name="chance",
        is_judged=False,
        recall_at_1=dict.fromkeys(columns, _recall(random)),
        mean_average_precision=dict.fromkeys(columns, _precision(random)),
    )
    return Variants(
        by=by,
        queries=random.queries if random else 0,
        columns=columns,
        rows=(chance, *rows),
        kept=kept,
    )


def _recall(figures: Retrieval | None) -> float | None:
    return figures.recall_at_1 if figures else None


def _precision(figures: Retrieval | None) -> float | None:
    return figures.mean_average_precision if figures else None
