"""One immutable segment, mapped: vectors, items, photos and an engine's files.

Items are sorted by id, and each item's photos stand together, so that rows in order are ids in
order, an item's photos are a range, and an id is found by bisection (10 us among 250,000).
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.lib.format import open_memmap

from search_service.engines import Engine, Rows, Vectors
from search_service.engines.opening import open_engine
from search_service.manifest import Blob, Draft, Segment
from search_service.texts import Texts

ATTRIBUTE = "attribute."  # the prefix of attribute columns in the items table


class MappedSegment:
    """One segment's blobs where a replica keeps them."""

    def __init__(self, segment: Segment, draft: Draft, folder: Path) -> None:
        paths = blob_paths(segment.blobs, folder)
        self.about = segment
        self._of = (draft.dimension, draft.attributes)
        # As a plain array: numpy's own class of maps costs 5 us a look.
        self.vectors: Vectors = np.asarray(open_memmap(paths["vectors"], mode="r"))
        self.items = read_table(paths["items"])
        self.photos = read_table(paths["photos"])
        self.item_ids = Texts(_array(self.items.column("item_id")))
        self.photo_ids = Texts(_array(self.photos.column("photo_id")))
        self.first_rows: Rows = self.items.column("first_row").to_numpy()
        self.projection: Vectors | None = None
        if segment.width:
            self.projection = np.asarray(open_memmap(paths["projection"], mode="r"))
        self.engine: Engine = open_engine(segment.engine, paths, self.vectors, self.projection)

        self.effort_for = cache(segment.effort_for)

    def is_one_of(self, draft: Draft) -> bool:
        """Whether that generation has this very segment."""
        return self.about in draft.segments and self._of == (draft.dimension, draft.attributes)


def read_table(path: Path) -> pa.Table:
    """A mapped Arrow IPC file of one record batch; nothing is copied."""
    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_file(source).read_all()


def is_the_systems(error: Exception) -> bool:
    """No descriptors, a failing disk: not the file's fault. Arrow's own errors have no number."""
    return isinstance(error, OSError) and error.errno is not None


def _array(column: pa.ChunkedArray) -> pa.StringArray:
    """Of one record batch, or of none."""
    return column.chunk(0) if column.num_chunks else pa.array([], pa.string())


def read_dead(path: Path, items: int) -> np.ndarray:
    """The bitmap of a base's dead items [items]."""
    packed = np.load(path, allow_pickle=False)
    return np.unpackbits(packed, count=items).view(np.bool_)


def blob_paths(blobs: Mapping[str, Blob], folder: Path) -> dict[str, Path]:
    """Where a replica keeps each role's file."""
    return {role: folder / blob.sha256 for role, blob in blobs.items()}
