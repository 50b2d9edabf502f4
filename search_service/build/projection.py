"""Principal directions: an engine over a few of them finds what one over all dimensions finds."""

from collections.abc import Iterable

import numpy as np

from search_service.engines import Vectors
from search_service.engines.exact import nearest_rows
from search_service.golden import GoldenQueries

# Enough to estimate the covariance of 512 dimensions, and 0.4 s of work.
_SAMPLE = 50_000
_AT_ONCE = 4_096  # 8 MB at 512 dimensions
# What a graph's candidates are compared to, and the queries that show whether these do.
_DEPTH, _QUERIES = 30, 200


def principal_directions(vectors: Vectors, width: int, *, seed: int) -> Vectors:
    """The `width` directions [d, width] along which the vectors [n, d] vary most."""
    rows = np.arange(len(vectors))
    if len(vectors) > _SAMPLE:
        rows = np.sort(np.random.default_rng(seed).choice(len(vectors), _SAMPLE, replace=False))
    total, products = np.zeros(vectors.shape[1]), np.zeros((vectors.shape[1],) * 2)
    for start in range(0, len(rows), _AT_ONCE):
        block = vectors[rows[start : start + _AT_ONCE]]
        total += block.sum(axis=0, dtype=np.float64)
        products += block.T @ block
    _, directions = np.linalg.eigh(products - np.outer(total, total) / len(rows))
    return np.ascontiguousarray(directions[:, ::-1][:, :width], dtype=np.float32)


def narrowest(
    vectors: Vectors, golden: GoldenQueries, widths: Iterable[int], recall: float, *, seed: int
) -> Vectors | None:
    """The directions of the first of these widths that leave room for a recall; else of the last.

    None: all dimensions, width 0.
    """
    projection = None
    for width in widths:
        projection = principal_directions(vectors, width, seed=seed) if width else None
        if projection is None or most_recall(vectors, golden, projection) >= recall:
            break
    return projection


def most_recall(vectors: Vectors, golden: GoldenQueries, projection: Vectors) -> float:
    """The recall of the nearest in the projection: what no engine over it exceeds."""
    projected = vectors @ projection
    # The nearest to q are those of the greatest x.q - |x|^2 / 2: a product with one column more.
    lengths = np.einsum("ij,ij->i", projected, projected) / -2
    queries = golden.vectors[:_QUERIES] @ projection
    found = nearest_rows(
        np.column_stack([projected, lengths]),
        np.column_stack([queries, np.ones(len(queries), np.float32)]),
        min(_DEPTH + golden.most_own, len(vectors)),
    )
    return float(golden.recalls_of(vectors, found).mean())
