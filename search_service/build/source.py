"""What an index is built from: vectors, and a table that says whose photos they are.

A folder as `lookalike embed` writes it: `vectors.npy` (float32 [n, d]), `photos.csv` or
`photos.parquet` with a column photo_id, usually item_id, and one column an attribute, row by row
as the vectors; `space.json` with the space_id.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tokenize import TokenError  # numpy's, of a header that is none

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet
from numpy.lib.format import open_memmap

from search_service.check import ARROW_TYPES, moments_fit
from search_service.engines import Vectors
from search_service.manifest import SHA256, AttributeKind

MAX_ITEM_ID_BYTES = 128
LIST_MARK = "|"  # parts the texts of a list in a CSV
MAX_PHOTO_ID_BYTES = 192
MAX_ATTRIBUTES_BYTES = 1024
_ROWS_A_LOOK = 8_192  # 32 MB as float64 at 512 dimensions


class SourceError(Exception):
    """The input of a build is not what it should be: *where, what was expected, what came*."""


@dataclass(frozen=True)
class Source:
    """Vectors [n, d] and the photos they belong to, in the same order."""

    vectors: Vectors
    photos: pa.Table  # photo_id, perhaps item_id, and attributes
    space_id: str
    types: Mapping[str, AttributeKind] = field(default_factory=dict)


def read_source(folder: Path, types: Mapping[str, AttributeKind] | None = None) -> Source:
    """Reads a folder; `types` fixes attributes that would be read as another type."""
    try:
        vectors = open_memmap(folder / "vectors.npy", mode="r")
        space = json.loads((folder / "space.json").read_text())
        photos = _read_photos(folder, types or {})
        return Source(vectors, photos, str(space["space_id"]), types or {})
    except (OSError, ValueError, KeyError, TypeError, TokenError, pa.ArrowException) as error:
        raise SourceError(
            f"{folder}: expected vectors.npy, photos.csv or photos.parquet, and space.json with "
            f"a space_id, got {_what(error)}"
        ) from None


def _what(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return repr(error)


def _read_photos(folder: Path, types: Mapping[str, AttributeKind]) -> pa.Table:
    if (folder / "photos.parquet").exists():
        return pyarrow.parquet.read_table(folder / "photos.parquet")
    # As texts first: the cast that follows names the attribute that does not fit its type.
    texts = {name: pa.string() for name in ("photo_id", "item_id", *types)}
    convert = pyarrow.csv.ConvertOptions(
        column_types=texts,
        strings_can_be_null=True,
        null_values=[""],
    )
    return pyarrow.csv.read_csv(folder / "photos.csv", convert_options=convert)


@dataclass(frozen=True)
class SortedRows:
    """A source in the order in which it is served: by item id, then photo id."""

    vectors: Vectors  # [n, d], normalised
    photo_ids: pa.Array
    item_ids: pa.Array  # [items], ascending by their UTF-8 bytes
    first_rows: np.ndarray  # [items]
    attributes: Mapping[str, tuple[AttributeKind, pa.Array]]  # [items] each


def sort_rows(source: Source, into: Path | None = None) -> SortedRows:
    """Checks everything that a caller could meet later, and sorts. SourceError.

    into: the .npy file to write the vectors to and map them from; None: they stay in memory.
    """
    photos = source.photos
    _check_shape(source)
    named = "item_id" in photos.column_names
    # A lone photo is its own item, so its id has to be one of an item.
    photo_ids = _ids(photos, "photo_id", MAX_PHOTO_ID_BYTES if named else MAX_ITEM_ID_BYTES)
    check_unique(photo_ids)
    item_ids = _ids(photos, "item_id", MAX_ITEM_ID_BYTES) if named else photo_ids
    order = pc.sort_indices(
        pa.table({"item": item_ids, "photo": photo_ids}),
        sort_keys=[("item", "ascending"), ("photo", "ascending")],
    )
    sorted_items = item_ids.take(order)
    changes = pc.not_equal(sorted_items[1:], sorted_items[:-1]).to_numpy(zero_copy_only=False)
    first_rows = np.concatenate([[0], np.flatnonzero(changes) + 1]).astype(np.int64)
    return SortedRows(
        vectors=_normalised(source.vectors, order.to_numpy(), photo_ids, into),
        photo_ids=photo_ids.take(order),
        item_ids=sorted_items.take(pa.array(first_rows)),
        first_rows=first_rows,
        attributes=_attributes(source, order, first_rows),
    )


def _check_shape(source: Source) -> None:
    vectors, photos = source.vectors, source.photos
    names = photos.column_names
    if "" in names or len(set(names)) != len(names):
        raise SourceError(f"photos: expected columns with names of their own, got {names}")
    if vectors.ndim != 2 or vectors.dtype != np.float32 or 0 in vectors.shape:
        raise SourceError(
            f"vectors: expected float32 [n, d], got {vectors.dtype} {list(vectors.shape)}"
        )
    if len(vectors) != len(photos):
        raise SourceError(f"photos: expected {len(vectors)} rows, one a vector, got {len(photos)}")
    if not SHA256.fullmatch(source.space_id):
        raise SourceError(f"space_id: expected 64 hexadecimal digits, got {source.space_id!r}")


def check_unique(photo_ids: pa.Array) -> None:
    """SourceError where a photo id comes twice."""
    counts = pc.value_counts(photo_ids)
    often = pc.index(pc.greater(counts.field("counts"), 1), True).as_py()
    if often >= 0:
        twice = counts.field("values")[often].as_py()
        raise SourceError(f"photo_id: expected each id once, got {twice!r} twice")


def _ids(photos: pa.Table, name: str, most: int) -> pa.Array:
    if name not in photos.column_names:
        raise SourceError(f"photos: expected a column {name}, got {photos.column_names}")
    ids = photos.column(name).combine_chunks().cast(pa.string())
    lengths = pc.binary_length(ids)
    bad = pc.or_kleene(pc.less(lengths, 1), pc.greater(lengths, most))
    row = pc.index(pc.fill_null(bad, True), True).as_py()
    if row >= 0:
        raise SourceError(
            f"photos row {row + 1}: expected {name} of 1 to {most} bytes, got {ids[row].as_py()!r}"
        )
    return ids


def _normalised(
    vectors: Vectors, order: np.ndarray, photo_ids: pa.Array, into: Path | None
) -> Vectors:
    if into is None:
        result = np.empty(vectors.shape, np.float32)
    else:
        result = open_memmap(into, mode="w+", dtype="<f4", shape=vectors.shape)
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order))
    for start, block in _blocks(vectors):
        lengths = np.linalg.norm(block, axis=1)
        usable = np.isfinite(lengths) & (lengths > 0)
        if not usable.all():
            row = start + int(np.flatnonzero(~usable)[0])
            raise SourceError(
                f"vectors row {row + 1} (photo {photo_ids[row].as_py()!r}): expected finite "
                "numbers that are not all 0, got NaN, infinity or zeros"
            )
        result[places[start : start + len(block)]] = block / lengths[:, None]
    return np.asarray(result)


def _blocks(vectors: Vectors) -> Iterator[tuple[int, np.ndarray]]:
    """The rows in order as float64, some at a time, and where they begin.

    Each block of a mapped file has a map of its own: what was read does not stay in memory beside
    what is written.
    """
    for start in range(0, len(vectors), _ROWS_A_LOOK):
        rows = min(_ROWS_A_LOOK, len(vectors) - start)
        block: np.ndarray = vectors[start : start + rows]
        if isinstance(vectors, np.memmap) and vectors.filename and vectors.flags.c_contiguous:
            at = vectors.offset + start * vectors.strides[0]
            shape = (rows, vectors.shape[1])
            block = np.memmap(vectors.filename, vectors.dtype, "r", at, shape)
        yield start, block.astype(np.float64)


def _attributes(
    source: Source, order: pa.Array, first_rows: np.ndarray
) -> dict[str, tuple[AttributeKind, pa.Array]]:
    """Each item's attributes, which all its photos have to agree on."""
    found: dict[str, tuple[AttributeKind, pa.Array]] = {}
    photos_each = np.diff(first_rows, append=len(source.photos))
    spread = pa.array(np.repeat(np.arange(len(first_rows)), photos_each))
    for name in sorted(set(source.photos.column_names) - {"photo_id", "item_id"}):
        kind, column = _typed(name, source.photos.column(name).combine_chunks(), source.types)
        rows = column.take(order)
        items = rows.take(pa.array(first_rows))
        if rows != (agreed := items.take(spread)):
            pairs = enumerate(zip(rows, agreed, strict=True))
            place = next(place for place, (own, first) in pairs if own != first)
            item_id = source.photos.column("item_id")[order[place].as_py()]
            raise SourceError(
                f"{name}: expected one value an item, got photos of {item_id.as_py()!r} that differ"
            )
        found[name] = (kind, items)
    _check_attribute_bytes(found)
    return found


def _typed(
    name: str, column: pa.Array, types: Mapping[str, AttributeKind]
) -> tuple[AttributeKind, pa.Array]:
    kind = types.get(name) or _kind_of(column.type)
    if kind is None:
        raise SourceError(
            f"{name}: expected texts, whole or real numbers, booleans, moments or lists of texts, "
            f"got {column.type}"
        )
    try:
        if kind == "strings" and pa.types.is_string(column.type):
            column = pc.split_pattern(column, LIST_MARK)
        column = column.cast(ARROW_TYPES[kind])
    except pa.ArrowException as error:
        raise SourceError(f"{name}: expected {kind}, got {error}") from None
    if kind == "timestamp" and not moments_fit(column):
        raise SourceError(f"{name}: expected moments from year 1 to 9999, got another")
    if kind == "strings" and pc.list_flatten(column).null_count:
        raise SourceError(f"{name}: expected texts in the lists, got a missing one")
    if kind == "double":
        column = pc.if_else(pc.is_nan(column), None, column)  # not a number: no value
    return kind, column


def _kind_of(found: pa.DataType) -> AttributeKind | None:
    tests: list[tuple[bool, AttributeKind]] = [
        (pa.types.is_null(found) or pa.types.is_dictionary(found), "string"),
        (_is_text(found), "string"),
        (pa.types.is_integer(found), "int64"),
        (pa.types.is_floating(found), "double"),
        (pa.types.is_boolean(found), "bool"),
        (pa.types.is_timestamp(found) or pa.types.is_date(found), "timestamp"),
        (_is_list(found) and _is_text(found.value_type), "strings"),
    ]
    return next((kind for matches, kind in tests if matches), None)


def _is_text(found: pa.DataType) -> bool:
    return bool(pa.types.is_string(found) or pa.types.is_large_string(found))


def _is_list(found: pa.DataType) -> bool:
    return bool(pa.types.is_list(found) or pa.types.is_large_list(found))


def _check_attribute_bytes(attributes: Mapping[str, tuple[AttributeKind, pa.Array]]) -> None:
    """Answers with attributes have to stay under what clients receive by default."""
    if not attributes:
        return
    # A proto map entry costs up to 12 bytes beside its name and value, a fixed value up to 12.
    total = np.zeros(len(next(iter(attributes.values()))[1]), np.int64)
    for name, (kind, column) in attributes.items():
        total += len(name.encode()) + 24
        if kind == "string":
            total += pc.fill_null(pc.binary_length(column), 0).to_numpy(zero_copy_only=False)
        if kind == "strings":
            owners = pc.list_parent_indices(column).to_numpy()
            np.add.at(total, owners, pc.binary_length(pc.list_flatten(column)).to_numpy() + 3)
    if total.max() > MAX_ATTRIBUTES_BYTES:
        raise SourceError(
            f"attributes: expected at most {MAX_ATTRIBUTES_BYTES} bytes an item, got {total.max()}"
        )
