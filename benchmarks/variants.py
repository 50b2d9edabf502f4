"""Generations of one catalogue in which every blob differs and every answer stays what it was.

A variant has the rows of a real build in another order under other ids, and the projected axes of
its forest mirrored. A product of two mirrored numbers is the same bit for bit, so that every walk
through the forest ends where it did; the answers name other ids, and say so which generation gave
them. Making one takes seconds where a build takes a minute.
"""

from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import numpy as np
import pyarrow as pa
from msgspec.structs import replace

from search_service.build.build import DRAFT, file_blob, now
from search_service.engines import Rows, Vectors
from search_service.engines.forest import ROW_BYTES
from search_service.golden import GoldenQueries
from search_service.manifest import Draft, decode, encode

_CHUNK = 4_096
# As the store does: larger pieces hold up other processes.
_WRITTEN = 64 << 10


@dataclass(frozen=True)
class Original:
    """What a build of lone photos with a forest over a projection left, mapped."""

    folder: Path
    draft: Draft

    @classmethod
    def read(cls, folder: Path) -> "Original":
        return cls(folder, decode((folder / DRAFT).read_bytes(), Draft, DRAFT))

    @property
    def rows(self) -> int:
        return self.draft.base.photos


def write_variant(original: Original, number: int, out: Path) -> None:
    """A build, ready to be published, into a new folder. `number` tells it from all others."""
    generator = np.random.default_rng(number)
    order = generator.permutation(original.rows)
    places = np.empty_like(order)
    places[order] = np.arange(original.rows)
    mirror = generator.choice(np.array([-1, 1], np.float32), original.draft.base.width)
    out.mkdir(parents=True)
    _write_vectors(original, order, out)
    _write_forest(original, order, places, mirror, out)
    _write_golden(original, places, out)
    _write_ids(original.rows, number, out)
    projection = np.load(original.folder / "projection") * mirror
    _save(out / "projection", projection)
    segment = replace(
        original.draft.base,
        blobs={role: file_blob(out / role) for role in original.draft.base.blobs},
    )
    draft = replace(original.draft, segments=(segment,), created=now())
    (out / DRAFT).write_bytes(encode(draft))


def photo_id(row: int, number: int) -> str:
    """Ids in the order of rows, each of one variant alone."""
    return f"{row:07d}-{number:04d}"


def _write_vectors(original: Original, order: Rows, out: Path) -> None:
    vectors = np.load(original.folder / "vectors", mmap_mode="r")
    header = {"descr": "<f4", "fortran_order": False, "shape": vectors.shape}
    with (out / "vectors").open("wb", buffering=0) as file:
        np.lib.format.write_array_header_1_0(file, header)
        for at in range(0, len(order), _CHUNK):
            _put(file, vectors[order[at : at + _CHUNK]])


def _put(file: FileIO, array: np.ndarray) -> None:
    data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    for at in range(0, len(data), _WRITTEN):
        file.write(data[at : at + _WRITTEN].data)


def _write_forest(
    original: Original, order: Rows, places: Rows, mirror: Vectors, out: Path
) -> None:
    """Items in their new order, their numbers wherever nodes name them, all axes mirrored."""
    rows, width = len(order), len(mirror)
    columns = ROW_BYTES // 4 + width
    nodes = np.fromfile(original.folder / "forest", np.int32).reshape(-1, columns)
    nodes[:rows] = nodes[order]
    inner = nodes[rows:]
    counts = inner[:, 0]
    splits = counts > width + 2
    children = inner[splits, 2:4]
    inner[splits, 2:4] = np.where(children < rows, places[children.clip(max=rows - 1)], children)
    for each in np.unique(counts[~splits]):  # leaves list as many items as they say
        leaves = np.flatnonzero(counts == each)
        inner[leaves, 2 : 2 + each] = places[inner[leaves, 2 : 2 + each]]
    numbers = nodes.view(np.float32)
    mirrored = np.concatenate([np.arange(rows), rows + np.flatnonzero(splits)])
    for at in range(0, len(mirrored), _CHUNK):
        some = mirrored[at : at + _CHUNK]
        numbers[some, 4:] *= mirror
    with (out / "forest").open("wb", buffering=0) as file:
        _put(file, nodes)


def _write_golden(original: Original, places: Rows, out: Path) -> None:
    golden = GoldenQueries.read(
        original.folder / "golden", original.draft.base.golden, original.draft.dimension
    )
    own = places[golden.own[:, 0]]
    ranges = np.stack([own, own + 1], axis=1)
    moved = GoldenQueries(ranges, golden.vectors, places[golden.rows], golden.distances)
    moved.write(out / "golden")


def _write_ids(rows: int, number: int, out: Path) -> None:
    ids = pa.array([photo_id(row, number) for row in range(rows)])
    _write_table(out / "photos", {"photo_id": ids})
    _write_table(out / "items", {"item_id": ids, "first_row": pa.array(np.arange(rows))})


def _write_table(path: Path, columns: dict[str, pa.Array]) -> None:
    table = pa.table(columns)
    with pa.ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table)


def _save(path: Path, array: Vectors) -> None:
    with path.open("wb") as file:
        np.save(file, array)
