"""Exact neighbours: every vector is compared, many queries at once."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import numpy as np

from lookalike_kit import calls
from search_service.engines import Mask, Rows, Vectors

# How far a cosine of float32 vectors is off, at most, when their sums run in another order.
ROUNDING = 1e-6
# A block of the vectors times some queries: 16 MB.
_BLOCK = 65_536
_QUERIES = 64
# So few are compared without BLAS, whose threads take every core and wait for one another there:
# one query over 200,000 x 512 takes 13 ms of CPU instead of 33, four 50 instead of 140.
FEW = 4
# Of this share of the rows on, all are compared and the others' scores struck out: 57,000 of 60,000
# x 512 took one query 4 ms so and 31 gathered, 12,000 as long either way; 64 queries at once, which
# cost a row more, 87 and 112 ms, and the same at 45,000.
_STRUCK_FROM, _STRUCK_FROM_MANY = 0.25, 0.75
# Rows gathered at once for a few queries: 16 MB at 512 dimensions.
_GATHERED = 8_192
_SAMPLED = 16  # one score of so many tells how high the best are


class Stacked:
    """Arrays of vectors [n, d] read as one, without a copy: rows are numbered through."""

    def __init__(self, arrays: Sequence[Vectors]) -> None:
        self._arrays = tuple(arrays)
        self.shape = (sum(map(len, arrays)), arrays[0].shape[1])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Rows | Sequence[int]) -> Vectors:
        wanted = np.asarray(rows)
        found = np.empty((len(wanted), self.shape[1]), np.float32)
        start = 0
        for array in self._arrays:
            own = (wanted >= start) & (wanted < start + len(array))
            found[own] = array[wanted[own] - start]
            start += len(array)
        return found

    def blocks(self) -> Iterator[Vectors]:
        """All of them in order, some thousands at a time."""
        for array in self._arrays:
            yield from _blocks(array)


class Exact:
    """Compares all vectors [n, d] of a segment, without an effort."""

    name: Final = "exact"

    def __init__(self, vectors: Vectors) -> None:
        self._vectors = vectors

    def candidates(self, queries: Vectors, count: int, effort: int) -> list[Rows]:  # noqa: ARG002
        return [nearest_rows(self._vectors, query[None], count)[0] for query in queries]


def nearest_rows(
    vectors: Vectors | Stacked, queries: Vectors, count: int, allowed: Mask | None = None
) -> list[Rows]:
    """The `count` rows nearest to each query [n, d], unranked, among the allowed ones.

    The products are float32: rows within ROUNDING of the last place may change places with it.
    """
    rows, struck = _left_out(allowed, len(queries))
    found: list[Rows] = []
    for start in range(0, len(queries), _QUERIES):
        found += _best(vectors, queries[start : start + _QUERIES], count, rows, struck)
    return found if rows is None else [rows[places] for places in found]


def _left_out(allowed: Mask | None, queries: int) -> tuple[Rows | None, Mask | None]:
    """The rows to gather, or those to strike out of all; neither where all are allowed."""
    if allowed is None:
        return None, None
    share = np.count_nonzero(allowed) / len(allowed)
    if share >= (_STRUCK_FROM if queries <= FEW else _STRUCK_FROM_MANY):
        return None, ~allowed
    return np.flatnonzero(allowed), None


def _best(
    vectors: Vectors | Stacked,
    queries: Vectors,
    count: int,
    rows: Rows | None,
    struck: Mask | None,
) -> list[Rows]:
    kept = [np.empty(0, np.int64) for _ in queries]
    kept_scores = [np.empty(0, np.float32) for _ in queries]
    start = 0
    for block in _compared(vectors, rows, len(queries)):
        calls.check_caller()
        for i, row in enumerate(_products(queries, block)):
            if struck is not None:
                row[struck[start : start + len(block)]] = -np.inf
            places, best = _top(row, count)
            kept[i] = np.concatenate([kept[i], places + start])
            kept_scores[i] = np.concatenate([kept_scores[i], best])
        start += len(block)
    return [_last(*each, count) for each in zip(kept, kept_scores, strict=True)]


def _last(found: Rows, scores: Vectors, count: int) -> Rows:
    places, best = _top(scores, count)
    return found[places[best > -np.inf]]


def _products(queries: Vectors, block: Vectors) -> Iterable[Vectors]:
    """The scalar products with each of the block's vectors, query by query."""
    if len(queries) <= FEW:
        return (np.vecdot(block, query) for query in queries)
    return queries @ block.T


def _compared(vectors: Vectors | Stacked, rows: Rows | None, queries: int) -> Iterator[Vectors]:
    if rows is not None:
        step = _GATHERED if queries <= FEW else _BLOCK
        return (vectors[rows[i : i + step]] for i in range(0, len(rows), step))
    return vectors.blocks() if isinstance(vectors, Stacked) else _blocks(vectors)


def _blocks(vectors: Vectors) -> Iterator[Vectors]:
    return (vectors[i : i + _BLOCK] for i in range(0, len(vectors), _BLOCK))


def _top(scores: Vectors, count: int) -> tuple[Rows, Vectors]:
    """The places of the `count` highest, and these; unranked."""
    if count >= len(scores):
        return np.arange(len(scores)), scores
    likely = _likely(scores, count)
    if likely is None:
        places = np.argpartition(scores, len(scores) - count)[-count:]
        return places, scores[places]
    among, best = _top(scores[likely], count)
    return likely[among], best


def _likely(scores: Vectors, count: int) -> Rows | None:
    """Places that hold the `count` highest and few others, by what a sample says; None: unknown.

    Of 65,536 scores this takes 35 us, where a partition of all takes 500.
    """
    sample = scores[::_SAMPLED]
    above = 2 * count // _SAMPLED + 4
    if len(sample) < 4 * above:
        return None
    bound = np.partition(sample, len(sample) - above)[len(sample) - above]
    places = np.flatnonzero(scores >= bound)
    return places if count <= len(places) < len(scores) // 2 else None
