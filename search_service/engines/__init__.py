"""Engines find candidates in a segment; what they find is compared exactly afterwards."""

from typing import Protocol

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]  # [n, d], each of length 1
Rows = npt.NDArray[np.int64]  # [n]
Mask = npt.NDArray[np.bool_]  # [rows of the segment]


class Engine(Protocol):
    """Finds rows of one segment."""

    name: str

    def candidates(self, query: Vectors, count: int, search_k: int) -> Rows:
        """Up to `count` rows most likely to be near one query [d]; unranked."""
