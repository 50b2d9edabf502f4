"""usearch's graph over a projection: it proposes, the exact comparison decides.

Numbers are kept as bfloat16: at a given effort they found as many neighbours as float32, in half
the room and four fifths of the time (docs/decisions.md).
"""

from collections import deque
from pathlib import Path
from typing import Final

import numpy as np
from usearch.compiled import Index, MetricKind, ScalarKind

from search_service.engines import Rows, Vectors
from search_service.engines.graph_file import NEIGHBOURS

# How hard a row's neighbours are sought when it is added: 64 builds in a third of the time of 128
# and needs twice the effort for a recall of 0.994.
_EXPANSION_ADD = 96
# The first rows are added by one thread: those that are added at once do not see one another, and
# of 300 random rows two threads left 7 where no search finds them, eight threads 14, one none.
_FIRST_ROWS = 1_000


class Graph:
    """A mapped usearch file. What lies in the heap is about 23 bytes a row and view of it."""

    name: Final = "graph"

    def __init__(self, path: Path, dimension: int, projection: Vectors | None) -> None:
        self._projection = projection
        self._width = dimension if projection is None else projection.shape[1]
        self._file = np.memmap(path, np.uint8, "r")
        # In usearch the effort belongs to a view, and a view answers one query at a time. So each
        # query takes one that is free; a new one takes 10 ms at 250,000 rows.
        self._free = deque([self._view()])
        self.rows = len(self._free[0])

    def candidates(self, queries: Vectors, count: int, effort: int) -> list[Rows]:
        projected = queries
        if self._projection is not None:
            # One by one: for a matrix BLAS would wake its threads.
            projected = np.stack([query @ self._projection for query in queries])
        try:
            view = self._free.pop()
        except IndexError:
            view = self._view()
        view.expansion_search = min(effort, self.rows)
        # In the calling thread alone.
        keys, _, counts, _, _ = view.search_many(
            projected, min(count, self.rows), exact=False, threads=1
        )
        self._free.append(view)
        return [found[:length].view(np.int64) for found, length in zip(keys, counts, strict=True)]

    def _view(self) -> Index:
        view = _empty(self._width)
        view.view_index_from_buffer(self._file)
        return view


def build_graph(path: Path, vectors: Vectors, *, threads: int) -> None:
    """Writes the graph over [n, w] vectors. The same bytes each time if `threads` is 1."""
    index = _empty(vectors.shape[1])
    rows = np.arange(len(vectors), dtype=np.uint64)
    index.add_many(rows[:_FIRST_ROWS], np.ascontiguousarray(vectors[:_FIRST_ROWS]), threads=1)
    if len(rows) > _FIRST_ROWS:
        rest = np.ascontiguousarray(vectors[_FIRST_ROWS:])
        index.add_many(rows[_FIRST_ROWS:], rest, threads=max(threads, 0))
    index.save_index_to_path(str(path))


def _empty(width: int) -> Index:
    return Index(
        ndim=width,
        dtype=ScalarKind.BF16,
        connectivity=NEIGHBOURS,
        expansion_add=_EXPANSION_ADD,
        # Euclidean: a shift of both sides does not change it, so the projection needs no mean.
        metric_kind=MetricKind.L2sq,
        enable_key_lookups=False,  # a table of 8 bytes a row and view, which searches do not need
    )
