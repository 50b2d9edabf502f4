"""Candidates compared exactly and put in order: an item each, by its nearest photo."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lookalike_kit import calls
from search_service.engines import Mask, Rows, Vectors
from search_service.engines.exact import Stacked
from search_service.segments import Segments

# Rows compared at once: 32 MB at 512 dimensions.
_COMPARED = 16_384
# Rows of several queries compared at once: 2 MB, so that they stay near.
_RANKED = 1_024


@dataclass(frozen=True)
class Ranking:
    """Items, the nearest first, each by its nearest photo: arrays of one length."""

    items: Rows
    rows: Rows
    distances: Vectors

    def __len__(self) -> int:
        return len(self.items)

    def at(self, places: "slice | Sequence[int] | Mask") -> "Ranking":
        return Ranking(self.items[places], self.rows[places], self.distances[places])

    def without(self, items: Rows) -> "Ranking":
        """Those that are none of these items [n], ascending, at least one."""
        places = np.minimum(np.searchsorted(items, self.items), len(items) - 1)
        return self.at(items[places] != self.items)

    def similar_enough(self, minimum: float) -> "Ranking":
        """Those of at least this similarity, as callers receive it."""
        enough = similarities(self.distances) >= np.float32(minimum)
        return self.at(slice(int(np.count_nonzero(enough))))


def rank(segments: Segments, rows: Rows, queries: Vectors) -> Ranking:
    """The items of these rows, in the order of their ids, by the photo nearest to any query [m, d].

    Ties keep that order.
    """
    calls.check_caller()
    far = distances(segments.vectors, rows, queries)
    order = np.argsort(far, kind="stable")
    items = segments.items_of(rows[order])
    if segments.row_numbers > segments.item_numbers:
        first = np.sort(np.unique(items, return_index=True)[1])
        items, order = items[first], order[first]
    return Ranking(items, rows[order], far[order])


def rank_each(segments: Segments, found: Sequence[Rows], queries: Vectors) -> list[Ranking]:
    """The ranking of each query [m, d] among its own rows, as rank() makes it; many at once."""
    lengths = {len(rows) for rows in found}
    if len(lengths) > 1 or segments.row_numbers > segments.item_numbers or not segments.is_by_id:
        pairs = zip(found, queries, strict=True)
        return [rank(segments, segments.by_id(np.sort(rows)), query[None]) for rows, query in pairs]
    block = max(1, _RANKED // max(1, *lengths))
    blocks = range(0, len(queries), block)
    return [
        ranking
        for at in blocks
        for ranking in _rank_block(segments, found[at : at + block], queries[at : at + block])
    ]


def _rank_block(segments: Segments, found: Sequence[Rows], queries: Vectors) -> list[Ranking]:
    """Every row is an item of its own, and the rows are in the order of their ids."""
    calls.check_caller()
    rows = np.sort(np.stack(found), axis=1)
    differences = segments.vectors[rows] - queries[:, None]
    far = np.sqrt(np.vecdot(differences, differences))
    order = np.argsort(far, axis=1, kind="stable")
    rows, far = np.take_along_axis(rows, order, 1), np.take_along_axis(far, order, 1)
    return [Ranking(own, own, distances) for own, distances in zip(rows, far, strict=True)]


def distances(vectors: Vectors | Stacked, rows: Rows, queries: Vectors) -> Vectors:
    """The distance of each row to the nearest of the queries [m, d]."""
    if len(rows) <= _COMPARED:
        return _compared(vectors[rows], queries)
    blocks = range(0, len(rows), _COMPARED)
    return np.concatenate([_compared(vectors[rows[i : i + _COMPARED]], queries) for i in blocks])


def similarities(distances: Vectors) -> Vectors:
    """max(0, cosine) as callers receive it, from Euclidean distances of vectors of length 1."""
    squares = distances.astype(np.float64) ** 2
    return np.maximum(0.0, 1.0 - squares / 2.0).astype(np.float32)


def _compared(vectors: Vectors, queries: Vectors) -> Vectors:
    # The difference rather than 2 - 2 cos: that loses the distances below 4e-4 to rounding.
    squares = _squares(vectors, queries[0])
    for query in queries[1:]:
        calls.check_caller()
        np.minimum(squares, _squares(vectors, query), out=squares)
    return np.sqrt(squares)


def _squares(vectors: Vectors, query: Vectors) -> Vectors:
    differences = vectors - query
    squares: Vectors = np.vecdot(differences, differences)
    return squares
