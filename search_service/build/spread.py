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
    """A photo each of two random items; None where there is only one."""
    items = len(first_rows)
    if items < 2:
        return None
    generator = np.random.default_rng(seed)
    counts = np.diff(first_rows, append=len(vectors))
    left = generator.integers(0, items, _PAIRS)
    right = (left + generator.integers(1, items, _PAIRS)) % items
    rows = [first_rows[each] + generator.integers(0, counts[each]) for each in (left, right)]
    return _quantiles(vectors, *rows)


def _quantiles(vectors: Vectors, left: Rows, right: Rows) -> Quantiles:
    similarities = np.clip(np.einsum("ij,ij->i", vectors[left], vectors[right]), 0.0, 1.0)
    values = np.quantile(similarities, SHARES)
    return Quantiles(shares=SHARES, similarities=tuple(round(float(each), 6) for each in values))
