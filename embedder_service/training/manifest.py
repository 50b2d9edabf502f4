"""A table of photos, CSV or Parquet.

    path      the image, below the table's folder; an absolute path may lie anywhere
    label     its class; blank where it is not known
    item_id   what it shows; blank where it is not known: the photo is its own item
    split     train, val, test, query or gallery: in every row or in none
    box       left top right bottom in pixels; or a column for each, or a list in Parquet

All but path may be missing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from embedder_service.training.data import (
    SPLITS,
    Box,
    Catalogue,
    CatalogueError,
    Photo,
    Split,
    box_of,
)
from embedder_service.training.rows import Place
from embedder_service.training.tables import read_table

_SUFFIXES = (".csv", ".parquet")
_EDGES = ("left", "top", "right", "bottom")
_COLUMNS = ("path", "label", "item_id", "split", "box", *_EDGES)


def is_manifest(place: Path) -> bool:
    """Whether it is a file of a known suffix."""
    return place.suffix.lower() in _SUFFIXES and place.is_file()


def read_manifest(path: Path) -> Catalogue:
    """Every row's photo. Raises CatalogueError."""
    if not is_manifest(path):
        raise CatalogueError(f"{path}: expected a file that ends in {' or '.join(_SUFFIXES)}")
    table = read_table(path, _COLUMNS)
    _check_columns(path, table.names)
    reader = _Reader(path.parent)
    photos = sorted((reader.photo(*row) for row in table.rows), key=lambda photo: photo.photo_id)
    if not photos:
        raise CatalogueError(f"{path}: expected a row a photo, got none")
    return Catalogue(
        path.parent,
        tuple(photos),
        notes=tuple(_notes(table.names, reader.outside)),
        has_splits=reader.has_splits(),
    )


class _Reader:
    """Rows to photos, one after the other; it remembers where it saw what."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names: dict[str, Place] = {}
        self._splits: dict[str, Place] = {}
        self._attributes: dict[str, dict[str, str]] = {}
        self.outside = 0

    def photo(self, place: Place, row: Mapping[str, Any]) -> Photo:
        name, path = self._path(place, _text(row["path"]))
        category = _text(row.get("label"))
        item_id = _text(row.get("item_id")) or name
        attributes = {"category": category} if category else {}
        return Photo(
            photo_id=name,
            path=path,
            item_id=item_id,
            category=category,
            split=self._split(place, _text(row.get("split"))),
            # An item's are those of its first photo: an index wants its photos to agree.
            attributes=self._attributes.setdefault(item_id, attributes),
            box=_box(place, row),
        )

    def has_splits(self) -> bool:
        """Words in every row or in none, and queries where there is a gallery."""
        seen = self._splits
        if "" in seen and len(seen) > 1:
            raise seen[""].error("a word, as other rows have", "", "split")
        if "gallery" in seen and "query" not in seen:
            raise seen["gallery"].error("rows of query as well", "gallery alone", "split")
        return "" not in seen

    def _path(self, place: Place, given: str) -> tuple[str, Path]:
        """A photo's id and file."""
        if not given or ".." in PurePath(given).parts:
            raise place.error("a path below the table's folder", given, "path")
        path = self._folder / given  # an absolute one stays what it is
        is_inside = path.is_relative_to(self._folder)
        name = (path.relative_to(self._folder) if is_inside else path).as_posix()
        first = self._names.setdefault(name, place)
        if first is not place:
            raise place.error(f"another path than {first.unit} {first.number}", given, "path")
        if not path.is_file():
            raise place.error(f"an image below {self._folder}", given, "path")
        self.outside += not is_inside
        return name, path

    def _split(self, place: Place, word: str) -> Split:
        split = next((known for known in SPLITS if known == word), None)
        if word and split is None:
            raise place.error(" or ".join(SPLITS), word, "split")
        self._splits.setdefault(word, place)
        return split or "train"


def _check_columns(path: Path, names: Sequence[str]) -> None:
    place = Place(path, 1)
    if "path" not in names:
        raise place.error("a column path", ", ".join(names))
    if len(set(names)) < len(names):
        raise place.error("columns of different names", ", ".join(names))
    edges = [name for name in _EDGES if name in names]
    if edges and len(edges) < len(_EDGES):
        raise place.error(f"all of {', '.join(_EDGES)}", ", ".join(edges))
    if edges and "box" in names:
        raise place.error(f"either box or {', '.join(_EDGES)}", "both")


def _notes(names: Sequence[str], outside: int) -> Iterator[str]:
    if unused := [name for name in names if name not in _COLUMNS]:
        yield f"columns that are not used: {', '.join(unused)}"
    if outside:
        yield f"absolute paths: {outside:,} photos lie outside of the table's folder"


def _text(value: object) -> str:
    """A label may be a number; pandas makes a float of a whole one that others lack."""
    if isinstance(value, float):
        return "" if math.isnan(value) else str(int(value) if value.is_integer() else value)
    return "" if value is None else str(value).strip()


def _box(place: Place, row: Mapping[str, Any]) -> Box | None:
    value = row.get("box", [row.get(edge) for edge in _EDGES])
    text = value if isinstance(value, str) else " ".join(map(_text, value or ()))
    try:
        return box_of(text)
    except ValueError:
        raise place.error("left top right bottom in pixels", text.strip(), "box") from None
