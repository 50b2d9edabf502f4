"""How similar photos of other items are, and of the same; which threshold keeps them apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]
Shares = npt.NDArray[np.float64]

MOST_PAIRS = 200_000
RATES = (0.05, 0.01, 0.001)
_DRAWS = 300  # of the bootstrap
_AT_ONCE = 4096


@dataclass(frozen=True)
class Pairs:
    """Two photos each, as rows [pairs]."""

    left: Numbers
    right: Numbers

    def similarities(self, vectors: Vectors) -> Shares:
        """As the search service has them: max(0, cosine), of vectors of length 1."""
        parts = [
            np.einsum(
                "ij,ij->i",
                vectors[self.left[start : start + _AT_ONCE]],
                vectors[self.right[start : start + _AT_ONCE]],
            )
            for start in range(0, len(self.left), _AT_ONCE)
        ]
        joined = np.concatenate(parts) if parts else np.empty(0)
        return np.clip(joined, 0, None).astype(np.float64)


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """From which similarity on a pair counts as a match.

    rate: the share of random pairs of other items that reach it (false matches). kept: the share of
    pairs of one item that do; None where no item has two photos.
    """

    similarity: float
    rate: float
    kept: float | None


@dataclass(frozen=True, kw_only=True)
class Moved:
    """A threshold of the old space, and what has the same rate of false matches in the new one.

    low and high bound the new threshold with 95 %: bootstrap over the photos, in both spaces alike.
    """

    old: Threshold
    new: Threshold
    low: float
    high: float


def other_item_pairs(items: Sequence[str], most: int = MOST_PAIRS, seed: int = 0) -> Pairs:
    """Random pairs of photos of two items; each at most once, all of them where they are few."""
    codes = np.unique(np.array(items, object), return_inverse=True)[1]
    count = len(codes)
    if count * (count - 1) // 2 <= most:
        left, right = np.triu_indices(count, 1)
    else:
        drawn = np.random.default_rng(seed).integers(0, count, (2, 2 * most))
        low, high = np.sort(drawn, axis=0)
        kept = np.unique((low * count + high)[low != high])
        kept = np.random.default_rng(seed).permutation(kept)[:most]
        left, right = np.divmod(kept, count)
    differ = codes[left] != codes[right]
    return Pairs(left[differ].astype(np.int64), right[differ].astype(np.int64))


def same_item_pairs(items: Sequence[str], most: int = MOST_PAIRS) -> Pairs:
    """Pairs of photos of one item: every photo with the one before it, then two before, and so on.

    All of them, unless there are more than `most`.
    """
    order = np.argsort(np.array(items, object), kind="stable").astype(np.int64)
    names = np.array(items, object)[order]
    lefts, rights, found = [], [], 0
    for step in range(1, len(order)):
        same = names[step:] == names[:-step]
        if not same.any() or found >= most:
            break
        lefts.append(order[:-step][same])
        rights.append(order[step:][same])
        found += len(lefts[-1])
    none = [np.empty(0, np.int64)]
    return Pairs(np.concatenate(lefts or none)[:most], np.concatenate(rights or none)[:most])


def thresholds(others: Shares, same: Shares, rates: Sequence[float] = RATES) -> list[Threshold]:
    """One a rate that so many pairs can show: it has ten false matches at least."""
    shown = [rate for rate in rates if rate * len(others) >= 10]
    return [threshold_at(quantile_above(others, rate), others, same) for rate in shown]


def threshold_at(similarity: float, others: Shares, same: Shares) -> Threshold:
    """What that similarity does in a space."""
    return Threshold(
        similarity=similarity,
        rate=float(np.mean(others >= similarity)) if len(others) else 0.0,
        kept=float(np.mean(same >= similarity)) if len(same) else None,
    )


def quantile_above(similarities: Shares, rate: float) -> float:
    """The least similarity that at most this share of them reach."""
    ordered = np.sort(similarities)[::-1]
    allowed = int(np.floor(rate * len(ordered) + 1e-9))
    if allowed >= len(ordered):
        return float(ordered[-1])
    # Above the first that is one too many; ties with it would be, too.
    above = ordered[ordered > ordered[allowed]]
    return float(above[-1]) if len(above) else float(np.nextafter(ordered[0], 2))


def moved(
    threshold: float, pairs: Pairs, apart: tuple[Shares, Shares], same: tuple[Shares, Shares]
) -> Moved:
    """Where `threshold`, of the old space, has to go in the new one.

    `apart` are the similarities of `pairs`, all of other items, in the old and the new space;
    `same` are those of pairs of one item.
    """
    old, new = apart
    there = threshold_at(threshold, old, same[0])
    low, high = np.percentile(_resampled(threshold, pairs, old, new), [2.5, 97.5])
    here = threshold_at(quantile_above(new, there.rate), new, same[1])
    return Moved(old=there, new=here, low=float(low), high=float(high))


def _resampled(threshold: float, pairs: Pairs, old: Shares, new: Shares) -> Shares:
    """The new threshold if other photos had been there: pairs share photos, so photos are drawn."""
    generator = np.random.default_rng(0)
    count = int(max(pairs.left.max(), pairs.right.max())) + 1
    order = np.argsort(-new, kind="stable")
    falling, reached = new[order], (old >= threshold)[order]
    left, right = pairs.left[order], pairs.right[order]
    found = np.empty(_DRAWS)
    for draw in range(_DRAWS):
        times = generator.multinomial(count, np.full(count, 1 / count))
        weights = times[left] * times[right]
        allowed = weights[reached].sum()
        place = int(np.searchsorted(np.cumsum(weights), allowed, side="right"))
        found[draw] = falling[min(max(place - 1, 0), len(falling) - 1)]
    return found
