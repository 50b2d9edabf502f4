"""How similarities are spread, among photos of one item and of random ones: for thresholds."""

import numpy as np

from search_service.engines import Rows, Vectors
from search_service.manifest import Quantiles

SHARES = (0.001, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999)
_PAIRS = 20_000


def same_item_pairs(vectors: Vectors, first_rows: Rows, seed: int) -> Quantiles | None:
    """Two photos of one item; None where no item has two."""
    generator = np.random.default_rng(seed)
    counts = np.diff(first_rows, append=len(vectors))
    items = np.flatnonzero(counts > 1)
    if not len(items):
        return None
    chosen = generator.choice(items, _PAIRS)
    left = generator.integers(0, counts[chosen])
    right = (left + generator.integers(1, counts[chosen])) % counts[chosen]
    return _quantiles(vectors, first_rows[chosen] + left, first_rows[chosen] + right)


def random_pairs(vectors: Vectors, first_rows: Rows, seed: int) -> Quantiles | None:
    """Photos of two different items; None where there is only one."""
    if len(first_rows) < 2:
        return None
    generator = np.random.default_rng(seed)
    left, right = generator.integers(0, len(vectors), (2, 2 * _PAIRS))
    items = np.searchsorted(first_rows, [left, right], side="right")
    differ = items[0] != items[1]
    return _quantiles(vectors, left[differ][:_PAIRS], right[differ][:_PAIRS])


def _quantiles(vectors: Vectors, left: Rows, right: Rows) -> Quantiles:
    similarities = np.clip(np.einsum("ij,ij->i", vectors[left], vectors[right]), 0.0, 1.0)
    values = np.quantile(similarities, SHARES)
    return Quantiles(shares=SHARES, similarities=tuple(round(float(each), 6) for each in values))
