"""Golden queries: asked of a generation before it serves, with the exact answers stored at build.

They tell what no structure shows: another metric, another model's vectors, another forest.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from search_service.engines import Rows, Vectors
from search_service.engines.exact import nearest_rows
from search_service.manifest import EffortPoint, FormatError, Golden
from search_service.segment import MappedSegment, is_the_systems, read_table

# Float32 sums of 512 terms in another order differ by less than this.
_DISTANCE_TOLERANCE = 1e-3
# A scan of 250,000 vectors takes 27 ms: these many are enough to see that it scans the right ones.
_EXACT_QUERIES = 32
# Float32 moves rows across the last place: so many more are looked at.
TIES = 8


@dataclass(frozen=True)
class GoldenQueries:
    """Rows of the segment as queries, and the rows of other items that are nearest to each.

    The own item is left out as a whole: its photos stand so near that finding them says nothing of
    a query by a new photo (a recall of 0.99 over them came with one of 0.97 for held-out photos).
    """

    own: Rows  # [q, 2]: first and behind last row of the own item
    vectors: Vectors  # [q, d]
    rows: Rows  # [q, neighbours]
    distances: Vectors  # [q, neighbours], ascending

    def write(self, path: Path) -> None:
        lists = {
            "own": pa.FixedSizeListArray.from_arrays(self.own.ravel(), 2),
            "vector": pa.FixedSizeListArray.from_arrays(
                self.vectors.ravel(), self.vectors.shape[1]
            ),
            "rows": pa.FixedSizeListArray.from_arrays(self.rows.ravel(), self.rows.shape[1]),
            "distances": pa.FixedSizeListArray.from_arrays(
                self.distances.ravel(), self.distances.shape[1]
            ),
        }
        table = pa.table(lists)
        with pa.ipc.new_file(str(path), table.schema) as writer:
            writer.write_table(table)

    @classmethod
    def read(cls, path: Path, golden: Golden, dimension: int) -> "GoldenQueries":
        try:
            table = read_table(path).combine_chunks()
            read = cls(
                own=_matrix(table.column("own"), np.int64, 2),
                vectors=_matrix(table.column("vector"), np.float32, dimension),
                rows=_matrix(table.column("rows"), np.int64, golden.neighbours),
                distances=_matrix(table.column("distances"), np.float32, golden.neighbours),
            )
        except (pa.ArrowException, KeyError, ValueError, OSError) as error:
            if is_the_systems(error):
                raise
            raise FormatError(f"golden queries: expected a table of them, got {error}") from None
        counts = {len(each) for each in (read.own, read.vectors, read.rows, read.distances)}
        if counts != {golden.queries}:
            raise FormatError(f"golden queries: expected {golden.queries}, got {sorted(counts)}")
        return read

    def recalls(self, segment: MappedSegment, effort: EffortPoint | None) -> Vectors:
        """recall of each query through the engine at this effort; None: by comparing all rows."""
        if effort is None:
            asked = self.vectors[:_EXACT_QUERIES]
            count = self.rows.shape[1] + self.most_own + TIES
            found = nearest_rows(segment.vectors, asked, count)
        else:
            engine = segment.engine
            count = effort.depth + self.most_own
            found = engine.candidates(self.vectors, count, effort.effort)
        return self.recalls_of(segment.vectors, found)

    @property
    def most_own(self) -> int:
        """Photos of the largest item among the queries' own."""
        return int((self.own[:, 1] - self.own[:, 0]).max())

    def recalls_of(self, vectors: Vectors, found: Sequence[Rows]) -> Vectors:
        """recall of the rows found for the first queries [len(found)]."""
        return self.recalls_by_depth(vectors, found)[:, -1]

    def recalls_by_depth(self, vectors: Vectors, found: Sequence[Rows]) -> Vectors:
        """recall of the first 1, 2, ... rows found for each of the first queries."""
        neighbours = self.rows.shape[1]
        reached = np.zeros((len(found), max(map(len, found))), np.int64)
        for i, rows in enumerate(found):
            distances = np.linalg.norm(vectors[rows] - self.vectors[i], axis=1)
            # By distance, not by row: of photos equally far, any will do.
            near = distances <= self.distances[i, -1] + 1e-6
            reached[i, : len(rows)] = near & ~((rows >= self.own[i, 0]) & (rows < self.own[i, 1]))
        recalls: Vectors = np.minimum(reached.cumsum(axis=1), neighbours) / np.float32(neighbours)
        return recalls

    def check_distances(self, segment: MappedSegment) -> None:
        """Raises FormatError unless the stored distances are those of the mapped vectors."""
        if self.rows.min(initial=0) < 0 or self.rows.max(initial=0) >= len(segment.vectors):
            raise FormatError("golden queries: expected rows of the segment, got one out of range")
        for vector, rows, distances in zip(self.vectors, self.rows, self.distances, strict=True):
            got = np.linalg.norm(segment.vectors[rows] - vector, axis=1)
            # Not `>`: a NaN must fail too.
            if not np.abs(got - distances).max() <= _DISTANCE_TOLERANCE:
                raise FormatError(
                    "golden queries: expected the distances stored at build, "
                    f"got others (off by {np.abs(got - distances).max():.4g})"
                )

    def check_recall(self, segment: MappedSegment) -> None:
        """Raises FormatError where the default effort finds less than when it was measured."""
        point = segment.effort_for(0.99)
        # By comparison nothing may be missed; an engine was measured by these very queries.
        floor = point.sure_recall - 1e-3 if point else 0.999
        recall = float(np.mean(self.recalls(segment, point)))
        if recall < floor:
            raise FormatError(
                f"golden queries: expected a recall of at least {floor:.4f}, got {recall:.4f}"
            )


def _matrix(column: pa.ChunkedArray, kind: type, width: int) -> np.ndarray:
    flat: np.ndarray = column.combine_chunks().flatten().to_numpy()
    if flat.dtype != kind or not np.isfinite(flat).all():
        raise ValueError(f"{column.type} with finite numbers")
    return flat.reshape(-1, width)
