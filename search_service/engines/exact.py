"""Exact neighbours: every vector is compared, many queries at once."""

import numpy as np

from search_service.engines import Mask, Rows, Vectors

# How far a cosine of float32 vectors is off, at most, when their sums run in another order.
ROUNDING = 1e-6
# A block of the vectors times some queries: 16 MB.
_BLOCK = 65_536
_QUERIES = 64


def nearest_rows(
    vectors: Vectors, queries: Vectors, count: int, allowed: Mask | None = None
) -> list[Rows]:
    """The `count` rows nearest to each query [n, d], unranked, among the allowed ones.

    The products are float32: rows within ROUNDING of the last place may change places with it.
    """
    rows = None if allowed is None else np.flatnonzero(allowed)
    found: list[Rows] = []
    for start in range(0, len(queries), _QUERIES):
        found += _best(vectors, queries[start : start + _QUERIES], count, rows)
    return found if rows is None else [rows[places] for places in found]


def _best(vectors: Vectors, queries: Vectors, count: int, rows: Rows | None) -> list[Rows]:
    total = len(vectors) if rows is None else len(rows)
    kept = [np.empty(0, np.int64) for _ in queries]
    kept_scores = [np.empty(0, np.float32) for _ in queries]
    for start in range(0, total, _BLOCK):
        stop = min(start + _BLOCK, total)
        block = vectors[start:stop] if rows is None else vectors[rows[start:stop]]
        scores = queries @ block.T
        for i, row in enumerate(scores):
            places, best = _top(row, count)
            kept[i] = np.concatenate([kept[i], places + start])
            kept_scores[i] = np.concatenate([kept_scores[i], best])
    return [found[_top(scores, count)[0]] for found, scores in zip(kept, kept_scores, strict=True)]


def _top(scores: Vectors, count: int) -> tuple[Rows, Vectors]:
    if count >= len(scores):
        return np.arange(len(scores)), scores
    places = np.argpartition(scores, len(scores) - count)[-count:]
    return places, scores[places]
