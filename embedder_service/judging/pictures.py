"""Which photos the page shows, and why these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from embedder_service.judging import maps
from embedder_service.judging.contestants import Contestant
from embedder_service.judging.findings import Map, Matrix, Near, Sheet
from embedder_service.judging.ranking import Found
from embedder_service.judging.trial import LABELS, Trial, sample
from embedder_service.training.data import Photo

Vectors = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]

SHOWN = 6  # neighbours of a query
_EXAMPLES, _WORST = 6, 12
_MATRIX = 24
_TOP, _TOP_OF_SOME = 5, 3  # of a row of the matrix; of some items with four photos each
_FLAT, _DEEP = 1_000, 400  # photos of the maps


def examples(trial: Trial, judged: Contestant, nearest: Numbers, by: str) -> tuple[Sheet, ...]:
    """Queries spread over the categories, and what came first; right by item or category."""
    first: dict[str, int] = {}
    for place, row in enumerate(trial.queries):
        photo = trial.photos[row]
        first.setdefault(photo.category or photo.photo_id, place)
    chosen = sample(np.array(list(first.values()), np.int64), _EXAMPLES)
    return tuple(_sheet(trial, judged, int(place), nearest, by) for place in chosen)


def worst(
    trial: Trial, judged: Contestant, found: Found, nearest: Numbers, by: str
) -> tuple[Sheet, ...]:
    """The queries whose own came last, and where it came; none of those that found it first."""
    if not by:
        return ()
    order = np.argsort(-found.first, kind="stable")[:_WORST]
    return tuple(
        replace(
            _sheet(trial, judged, int(place), nearest, by),
            wanted=_near(trial, judged, int(place), _nearest_own(trial, judged, place, by), by),
            rank=int(found.first[place]),
        )
        for place in order
        if found.first[place] > 1
    )


def _sheet(trial: Trial, judged: Contestant, place: int, nearest: Numbers, by: str) -> Sheet:
    rows = trial.gallery[nearest[place, :SHOWN]]
    return Sheet(
        photo_id=trial.photos[trial.queries[place]].photo_id,
        came=tuple(_near(trial, judged, place, int(row), by) for row in rows),
    )


def _nearest_own(trial: Trial, judged: Contestant, place: int, by: str) -> int:
    """The row of the nearest photo that the query should have found."""
    query, label = trial.queries[place], LABELS[by]
    wanted = label(trial.photos[query])
    own = [row for row in trial.gallery if label(trial.photos[row]) == wanted and row != query]
    return int(own[int(np.argmax(judged.vectors[own] @ judged.vectors[query]))])


def _near(trial: Trial, judged: Contestant, place: int, row: int, by: str) -> Near:
    query, photo = trial.photos[trial.queries[place]], trial.photos[row]
    similarity = float(judged.vectors[trial.queries[place]] @ judged.vectors[row])
    label = LABELS[by or "item"]
    return Near(
        photo_id=photo.photo_id,
        similarity=min(max(similarity, 0.0), 1.0),
        is_right=label(photo) == label(query) != "",
    )


def matrix(photos: Sequence[Photo], vectors: Vectors) -> Matrix:
    """All similarities of a small catalogue; of a larger one, of some items with all they have."""
    is_whole = len(photos) <= _MATRIX
    rows = list(range(len(photos))) if is_whole else _some_items(photos)
    similarities = np.clip(vectors[rows] @ vectors[rows].T, 0, 1)
    others = similarities.copy()
    np.fill_diagonal(others, -1)
    top = _TOP if is_whole else _TOP_OF_SOME
    order = np.argsort(-others, axis=1, kind="stable")[:, : min(top, len(rows) - 1)]
    return Matrix(
        photo_ids=tuple(photos[row].photo_id for row in rows),
        similarities=tuple(tuple(float(value) for value in row) for row in similarities),
        lists=tuple(tuple(int(place) for place in row) for row in order),
        is_whole=is_whole,
    )


def _some_items(photos: Sequence[Photo]) -> list[int]:
    """Rows of four photos of each of six items, of different categories while there are such.

    Where no item has four photos, of more items with fewer.
    """
    by_item: dict[str, list[int]] = {}
    for row, photo in enumerate(photos):
        by_item.setdefault(photo.item_id, []).append(row)
    most = min(4, max(map(len, by_item.values())))
    full = [rows[:most] for rows in by_item.values() if len(rows) >= most]
    first = {photos[rows[0]].category: rows for rows in reversed(full)}
    spread = sample(np.arange(len(first)), _MATRIX // most)
    chosen = [list(first.values())[place] for place in spread]
    rest = [rows for rows in full if rows not in chosen]
    return [row for rows in (chosen + rest)[: _MATRIX // most] for row in rows]


def photo_map(photos: Sequence[Photo], vectors: Vectors) -> Map | None:
    """Photos laid out by t-SNE; a sample of a large catalogue."""
    rows = sample(np.arange(len(photos)), _FLAT)
    if len(rows) < maps.LEAST:
        return None
    deep = sample(rows, _DEEP)
    rows = np.concatenate([deep, np.setdiff1d(rows, deep)])
    return Map(
        photo_ids=tuple(photos[int(row)].photo_id for row in rows),
        flat=maps.laid_out(vectors[rows], 2),
        deep=maps.laid_out(vectors[deep], 3),
    )
