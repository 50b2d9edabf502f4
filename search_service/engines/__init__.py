"""Engines find candidates in a segment; what they find is compared exactly afterwards."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]  # [n, d], each of length 1
Rows = npt.NDArray[np.int64]  # [n]
Mask = npt.NDArray[np.bool_]  # [rows of the segment]


@dataclass(frozen=True)
class Look:
    """How an engine is asked: for so many candidates a query, how hard."""

    count: int
    effort: int

    def wider(self, available: int) -> "Look":
        """Four times as many, four times as hard."""
        return Look(min(4 * self.count, available), 4 * self.effort)


class Engine(Protocol):
    """Finds rows of one segment."""

    @property
    def name(self) -> str: ...

    def candidates(self, queries: Vectors, count: int, effort: int) -> list[Rows]:
        """Up to `count` rows most likely to be near each query [m, d]; unranked."""
