"""What a search finds, in a few numbers: recall at a rank, mean average precision, and chance's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from embedder_service.judging.ranking import DEPTH, Found

RANKS = (1, 5, 10)
_TWO_SIDED_95 = 1.96

Numbers = npt.NDArray[np.int64]
Shares = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Retrieval:
    """Means over `queries` queries that had something to find.

    recall_at_k: the share of queries with one of their own among the k nearest. margin: half the
    95 % interval of recall_at_1, of queries drawn at random; 0 where it was computed.
    """

    queries: int
    recall_at_1: float
    recall_at_5: float
    recall_at_10: float
    mean_average_precision: float
    margin: float


def retrieval(found: Found) -> Retrieval | None:
    """The figures; None where no query had anything to find."""
    found = found.answerable()
    if not len(found.first):
        return None
    hits = [found.first <= rank for rank in RANKS]
    return _summary(hits, found.precision, margin(hits[0]))


def chance(found: Found) -> Retrieval | None:
    """What a gallery in random order gives on average, computed for the same queries."""
    found = found.answerable()
    if not len(found.first):
        return None
    misses = [misses_by_chance(found.gallery, found.relevant, rank) for rank in RANKS]
    return _summary([1 - each for each in misses], _expected_precision(found), margin=0.0)


def margin(shares: npt.ArrayLike) -> float:
    """Half the 95 % interval of a mean."""
    values = np.asarray(shares, np.float64)
    if len(values) < 2:
        return 1.0
    return float(_TWO_SIDED_95 * values.std(ddof=1) / np.sqrt(len(values)))


def _summary(hits: list[npt.NDArray[Any]], precision: Shares, margin: float) -> Retrieval:
    return Retrieval(
        queries=len(precision),
        recall_at_1=float(np.mean(hits[0])),
        recall_at_5=float(np.mean(hits[1])),
        recall_at_10=float(np.mean(hits[2])),
        mean_average_precision=float(precision.mean()),
        margin=margin,
    )


def misses_by_chance(size: Numbers, relevant: Numbers, rank: int) -> Shares:
    """The chance that the first `rank` of a random order of `size` are all of others."""
    misses = np.ones(len(relevant))
    for drawn in range(rank):
        misses *= np.clip((size - relevant - drawn) / np.maximum(size - drawn, 1), 0, 1)
    return misses


def _expected_precision(found: Found) -> Shares:
    """Of r relevant among n, by the linearity of expectation over ranks.

    A rank holds a relevant one with r/n; of the k - 1 before it (r - 1)/(n - 1) are then relevant.
    """
    size = found.gallery.astype(np.float64)
    harmonic = _harmonic(found.gallery)
    others = np.where(size > 1, (found.relevant - 1) / np.maximum(size - 1, 1), 0)
    return (harmonic + others * (size - harmonic)) / size


def _harmonic(sizes: npt.NDArray[np.int64]) -> Shares:
    sums = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, sizes.max(initial=0) + 1))])
    return np.asarray(sums[sizes], np.float64)


def precision_at_ten(found: Found) -> Shares:
    """Of the ten nearest, or of as many as there are, those of the own label."""
    return found.among_ten / np.minimum(DEPTH, np.maximum(found.gallery, 1))
