"""Looks at a generation's files before they are mapped, and asks it, in a process of its own.

`python -m search_service.check CPU_SHARE MANIFEST BLOBS [SKIPPED...]` exits 0 if the files are what
the manifest says and answer the golden queries as they did when they were built, else prints one
JSON line with the reason and exits 1.
"""

import sys
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.lib.format import open_memmap

from search_service.apart import refuse, resting
from search_service.engines.graph_file import check_graph
from search_service.engines.structure import check_forest
from search_service.golden import GoldenQueries
from search_service.manifest import (
    AttributeKind,
    AttributeSpec,
    Dead,
    FormatError,
    Manifest,
    Segment,
    decode,
    digest,
    encode,
)
from search_service.segment import (
    ATTRIBUTE,
    MappedSegment,
    blob_paths,
    is_the_systems,
    read_dead,
    read_table,
)

_ROWS_A_LOOK = 65_536
# The years 1 to 9999, which a google.protobuf.Timestamp can say.
_FIRST_MICROS, _LAST_MICROS = -62_135_596_800_000_000, 253_402_300_799_999_999

ARROW_TYPES: dict[AttributeKind, pa.DataType] = {
    "string": pa.string(),
    "int64": pa.int64(),
    "double": pa.float64(),
    "bool": pa.bool_(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "strings": pa.list_(pa.string()),
}


def check(manifest: Manifest, folder: Path, skipped: Collection[str] = ()) -> None:
    """Raises FormatError where a file is not what the manifest says.

    skipped: digests of segments that are served already.
    """
    for segment in _new(manifest, skipped):
        _check_segment(segment, manifest, folder)
    if manifest.dead:
        _check_dead(manifest.dead, manifest.base, folder)
    if manifest.delta:
        _check_apart(manifest, folder)


def ask_golden(manifest: Manifest, folder: Path, skipped: Collection[str] = ()) -> None:
    """Raises FormatError where a segment answers otherwise than it did when it was built."""
    for segment in _new(manifest, skipped):
        path = folder / segment.blobs["golden"].sha256
        golden = GoldenQueries.read(path, segment.golden, manifest.dimension)
        part = MappedSegment(segment, manifest, folder)
        golden.check_distances(part)
        golden.check_recall(part)


def _new(manifest: Manifest, skipped: Collection[str]) -> list[Segment]:
    return [each for each in manifest.segments if digest(encode(each)) not in skipped]


def _check_segment(segment: Segment, manifest: Manifest, folder: Path) -> None:
    paths = blob_paths(segment.blobs, folder)
    _check_vectors(paths["vectors"], segment.photos, manifest.dimension)
    _check_photos(_table(paths["photos"], "photos"), segment.photos)
    _check_items(_table(paths["items"], "items"), segment, manifest.attributes)
    _table(paths["golden"], "golden queries")
    golden = GoldenQueries.read(paths["golden"], segment.golden, manifest.dimension)
    if segment.width:
        _check_projection(paths["projection"], manifest.dimension, segment.width)
    width = segment.width or manifest.dimension
    if segment.engine == "annoy":
        check_forest(paths["forest"], width, segment.photos, segment.trees)
    if segment.engine == "graph":
        check_graph(paths["graph"], width, segment.photos)
        # What the look missed, if anything, is met here first: in a process that nobody asks.
        part = MappedSegment(segment, manifest, folder)
        for point in (segment.efforts[0], segment.efforts[-1]):
            golden.recalls(part, point)


def _check_vectors(path: Path, photos: int, dimension: int) -> None:
    vectors = _array(path, "vectors", (photos, dimension))
    for start in range(0, photos, _ROWS_A_LOOK):
        block = vectors[start : start + _ROWS_A_LOOK]
        lengths = np.einsum("ij,ij->i", block, block)
        # Not `>`: a NaN must fail too.
        if not (np.abs(lengths - 1.0) <= 1e-3).all():
            raise FormatError("vectors: expected length 1 each, got another or NaN")


def _check_projection(path: Path, dimension: int, width: int) -> None:
    projection = _array(path, "projection", (dimension, width))
    if not np.isfinite(projection).all():
        raise FormatError("projection: expected finite numbers, got NaN or infinity")


def _array(path: Path, what: str, shape: tuple[int, ...]) -> np.ndarray:
    try:
        array: np.ndarray = open_memmap(path, mode="r")
    except (ValueError, EOFError) as error:
        raise FormatError(f"{what}: expected a .npy file, got {error}") from None
    if array.shape != shape or array.dtype != np.dtype("<f4") or not array.flags.c_contiguous:
        raise FormatError(
            f"{what}: expected float32 {shape}, row by row, got {array.dtype} {array.shape}"
        )
    return array


def _table(path: Path, what: str) -> pa.Table:
    try:
        table = read_table(path)
        table.validate(full=True)
    except (pa.ArrowException, OSError) as error:
        if is_the_systems(error):
            raise
        raise FormatError(f"{what}: expected an Arrow file, got {error}") from None
    if any(column.num_chunks > 1 for column in table.columns):
        raise FormatError(f"{what}: expected one record batch, got several")
    return table


def _check_photos(table: pa.Table, photos: int) -> None:
    if table.schema != pa.schema([("photo_id", pa.string())]):
        raise FormatError(f"photos: expected a column photo_id, got {table.schema.names}")
    if len(table) != photos or table.column("photo_id").null_count:
        raise FormatError(f"photos: expected {photos} ids, got {len(table)} or missing ones")


def _check_dead(dead: Dead, base: Segment, folder: Path) -> None:
    try:
        packed = np.load(folder / dead.blob.sha256, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise FormatError(f"dead: expected a .npy file, got {error}") from None
    if packed.dtype != np.uint8 or packed.shape != (-(-base.items // 8),):
        raise FormatError(
            f"dead: expected a bit an item, {base.items}, got {packed.dtype} {packed.shape}"
        )
    gone = read_dead(folder / dead.blob.sha256, base.items)
    items = read_table(folder / base.blobs["items"].sha256)
    photos = np.diff(items.column("first_row").to_numpy(), append=base.photos)
    got = int(np.count_nonzero(gone)), int(photos[gone].sum())
    if got != (dead.items, dead.photos):
        raise FormatError(
            f"dead: expected {dead.items} items of {dead.photos} photos, got {got[0]} of {got[1]}"
        )


def _check_apart(manifest: Manifest, folder: Path) -> None:
    """An item that stood in both segments would be found twice."""
    base, delta = (
        read_table(folder / segment.blobs["items"].sha256).column("item_id")
        for segment in manifest.segments
    )
    twice = pc.is_in(base, value_set=delta.combine_chunks()).to_numpy()
    if manifest.dead:
        twice = twice & ~read_dead(folder / manifest.dead.blob.sha256, manifest.base.items)
    if twice.any():
        raise FormatError("items: expected each in one segment, got some that are live in both")


def _check_items(table: pa.Table, segment: Segment, attributes: Sequence[AttributeSpec]) -> None:
    columns = [(ATTRIBUTE + each.name, ARROW_TYPES[each.kind]) for each in attributes]
    wanted = pa.schema([("item_id", pa.string()), ("first_row", pa.int64()), *columns])
    if table.schema != wanted:
        raise FormatError(f"items: expected columns {wanted.names}, got {table.schema}")
    ids, first_rows = table.column("item_id"), table.column("first_row")
    if len(table) != segment.items or ids.null_count or first_rows.null_count:
        raise FormatError(f"items: expected {segment.items}, got {len(table)} or missing values")
    # Arrow compares strings by their UTF-8 bytes, as the bisection in segment.py does.
    if not pc.all(pc.less(ids[:-1], ids[1:])).as_py() and len(table) > 1:
        raise FormatError("items: expected ids in order, each once")
    rows = first_rows.to_numpy()
    for each in attributes:
        _check_attribute(table.column(ATTRIBUTE + each.name), each)
    if rows[0] != 0 or (rows[1:] <= rows[:-1]).any() or rows[-1] >= segment.photos:
        raise FormatError("items: expected ascending first rows within the photos")


def _check_attribute(column: pa.ChunkedArray, attribute: AttributeSpec) -> None:
    if attribute.kind == "timestamp" and not moments_fit(column):
        raise FormatError(f"items: expected {attribute.name} from year 1 to 9999, got another")
    if attribute.kind == "strings":
        texts = pc.list_flatten(column)
        # A list that is missing and yet has texts would put the others' in the wrong places.
        if texts.null_count or len(texts) != len(pc.list_parent_indices(column)):
            raise FormatError(f"items: expected texts in {attribute.name}, got missing ones")


def moments_fit(column: pa.Array | pa.ChunkedArray) -> bool:
    """Whether all microseconds [n] are moments that a google.protobuf.Timestamp can say."""
    bounds = pc.min_max(column.cast(pa.int64())).as_py()
    within = (bounds["min"] or 0) >= _FIRST_MICROS and (bounds["max"] or 0) <= _LAST_MICROS
    return bool(within)


def main(cpu_share: str, manifest_path: str, folder: str, *skipped: str) -> int:
    reason = "bad_structure"
    try:
        manifest = decode(Path(manifest_path).read_bytes(), Manifest, "manifest")
        with resting(float(cpu_share)):
            check(manifest, Path(folder), skipped)
            reason = "golden_queries"
            ask_golden(manifest, Path(folder), skipped)
    except FormatError as error:
        return refuse(reason, str(error))
    except Exception as error:  # noqa: BLE001
        if is_the_systems(error):
            return refuse("check_failed", f"files: expected a check, got {error!r}", passing=True)
        # Damage that a library says in its own way.
        return refuse(reason, f"files: expected readable ones, got {error!r}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
