"""Which of the ranked items become hits: functions of arrays that know no index.

From the nearest on, each item is taken unless its value has its hits already or it is nearly a copy
of one taken. A prefix of the ranking therefore decides a prefix of those taken: looking further
never changes what was taken.
"""

from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np

from search_service.engines import Mask, Rows, Vectors
from search_service.engines.exact import ROUNDING, Stacked

# Vectors looked at together: 2 MB at 512 dimensions.
_BLOCK = 1024
# Dot products of equal vectors differ in their last digits: scores are compared to six.
_DIGITS = 6


def take(
    count: int,
    values: Sequence[Hashable | None],
    most: int,
    copies: "Copies | None",
) -> list[int]:
    """The places of the first `count` that may be hits, given each place's value.

    values: at most `most` of each are taken; None is never counted.
    """
    taken: list[int] = []
    held: Counter[Hashable] = Counter()
    for place, value in enumerate(values):
        if len(taken) == count:
            break
        if value is not None and held[value] == most:
            continue
        if copies and copies.has(place):
            continue
        taken.append(place)
        held[value] += 1
        if copies:
            copies.keep(place)
    return taken


class Copies:
    """What is nearly the same as something kept before. Places are asked for in their order."""

    def __init__(self, vectors: Vectors | Stacked, rows: Rows, similarity: float) -> None:
        self._vectors = vectors
        self._rows = rows
        self._least = similarity - ROUNDING
        self._kept: list[Vectors] = []
        self._start = 0
        self._block = np.empty((0, vectors.shape[1]), np.float32)
        self._copies: Mask = np.zeros(0, np.bool_)

    def has(self, place: int) -> bool:
        if place >= self._start + len(self._block):
            self._read(place)
        return bool(self._copies[place - self._start])

    def keep(self, place: int) -> None:
        vector = self._block[place - self._start]
        self._kept.append(vector)
        np.logical_or(self._copies, self._block @ vector >= self._least, out=self._copies)

    def _read(self, place: int) -> None:
        self._start = place
        self._block = self._vectors[self._rows[place : place + _BLOCK]]
        self._copies = np.zeros(len(self._block), np.bool_)
        if self._kept:
            closest: Vectors = (self._block @ np.array(self._kept).T).max(axis=1)
            self._copies = closest >= self._least


def full_values(values: Sequence[Hashable | None], most: int) -> list[Hashable]:
    """The values of those taken that may not be taken once more."""
    counts = Counter(value for value in values if value is not None)
    return [value for value, count in counts.items() if count >= most]


def diverse(vectors: Vectors, near: Vectors, count: int, diversity: float) -> list[int]:
    """Places in the order of maximal marginal relevance; of equal scores the nearest first.

    vectors: [n, d] of length 1, the nearest first; near: their similarities [n] to the query.
    """
    closest = np.zeros(len(vectors), np.float32)
    free = np.ones(len(vectors), np.bool_)
    chosen: list[int] = []
    for _ in range(min(count, len(vectors))):
        scores = np.round((1.0 - diversity) * near - diversity * closest, _DIGITS)
        place = int(np.argmax(np.where(free, scores, -np.inf)))
        chosen.append(place)
        free[place] = False
        np.maximum(closest, vectors @ vectors[place], out=closest)
    return chosen
