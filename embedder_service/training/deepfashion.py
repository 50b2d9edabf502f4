"""DeepFashion's category benchmark, and the sample catalogue, which has the same files.

A list's first line is the count, its second the column names; then columns padded with spaces.
Labels are 1-based rows of list_category_cloth.txt. The lists lie under Anno, Anno_coarse or Eval.
An image's folder is its item.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from embedder_service.training.data import SPLITS, Catalogue, CatalogueError, Photo, Split

LIST_FOLDERS = ("Anno", "Anno_coarse", "Eval")
Box = tuple[int, int, int, int]


def is_deepfashion(folder: Path) -> bool:
    """Whether the folder has the benchmark's list of labels."""
    return any((folder / place / "list_category_img.txt").is_file() for place in LIST_FOLDERS)


def read_deepfashion(folder: Path) -> Catalogue:
    """Every photo of the lists. Raises CatalogueError."""
    categories = _category_names(folder)
    splits = _splits(folder)
    boxes = _boxes(folder)
    attributes = _attributes(folder)
    photos = []
    for row in _rows(folder, "list_category_img.txt", 2):
        name = row.values[0]
        if name not in splits:
            raise row.error("an image of list_eval_partition.txt", name)
        item_id = PurePosixPath(name).parent.name
        category = _category(row, categories)
        photos.append(
            Photo(
                photo_id=name,
                path=_image(row, folder, name),
                item_id=item_id,
                category=category,
                split=splits[name],
                attributes=attributes.get(item_id, {"category": category}),
                box=boxes.get(name),
            )
        )
    return Catalogue(folder, tuple(sorted(photos, key=lambda photo: photo.photo_id)))


@dataclass(frozen=True)
class _Row:
    """A line of a list, which knows where it stands."""

    path: Path
    line: int
    values: tuple[str, ...]

    def error(self, expected: str, got: str) -> CatalogueError:
        return CatalogueError(f"{self.path}, line {self.line}: expected {expected}, got {got!r}")

    def whole(self, column: int) -> int:
        """The value of a column as a whole number."""
        try:
            return int(self.values[column])
        except ValueError:
            raise self.error("a whole number", self.values[column]) from None


def _find(folder: Path, name: str) -> Path:
    for place in LIST_FOLDERS:
        if (folder / place / name).is_file():
            return folder / place / name
    raise CatalogueError(
        f"{name}: expected it in {folder} under {', '.join(LIST_FOLDERS)}, found none"
    )


def _rows(folder: Path, name: str, columns: int) -> list[_Row]:
    """A list's rows, checked against its count and the number of its columns."""
    path = _find(folder, name)
    lines = path.read_text(encoding="utf-8").splitlines()
    if not lines or not lines[0].strip().isdigit():
        raise _Row(path, 1, ()).error("the number of rows", lines[0] if lines else "")
    rows = [
        _Row(path, number, tuple(_columns(line, columns)))
        for number, line in enumerate(lines[2:], 3)
        if line.strip()
    ]
    for row in rows:
        if len(row.values) != columns:
            raise row.error(f"{columns} columns", " ".join(row.values))
    if len(rows) != int(lines[0]):
        raise _Row(path, 1, ()).error(f"{len(rows)}, the number of rows below", lines[0].strip())
    return rows


def _columns(line: str, columns: int) -> list[str]:
    """The last columns hold no spaces; the first may."""
    return [value.strip() for value in line.strip().rsplit(None, columns - 1)]


def _category_names(folder: Path) -> list[str]:
    return [row.values[0] for row in _rows(folder, "list_category_cloth.txt", 2)]


def _category(row: _Row, categories: list[str]) -> str:
    label = row.whole(1)
    if not 1 <= label <= len(categories):
        raise row.error(
            f"a label from 1 to {len(categories)}, the rows of list_category_cloth.txt", str(label)
        )
    return categories[label - 1]


def _splits(folder: Path) -> dict[str, Split]:
    splits: dict[str, Split] = {}
    for row in _rows(folder, "list_eval_partition.txt", 2):
        split = next((known for known in SPLITS if known == row.values[1]), None)
        if split is None:
            raise row.error(" or ".join(SPLITS), row.values[1])
        splits[row.values[0]] = split
    return splits


def _boxes(folder: Path) -> dict[str, Box]:
    return {
        row.values[0]: (row.whole(1), row.whole(2), row.whole(3), row.whole(4))
        for row in _rows(folder, "list_bbox.txt", 5)
    }


def _image(row: _Row, folder: Path, name: str) -> Path:
    path = folder / name
    if not name.startswith("img/") or ".." in PurePosixPath(name).parts:
        raise row.error("a path that begins with img/", name)
    if not path.is_file():
        raise row.error(f"an image below {folder}", name)
    return path


def _attributes(folder: Path) -> Mapping[str, Mapping[str, str]]:
    """Attributes by item, from our own list beside DeepFashion's, where there is one."""
    path = folder / "Anno" / "list_item_attributes.csv"
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if not reader.fieldnames or reader.fieldnames[0] != "item_id":
            raise _Row(path, 1, ()).error("column names, item_id first", str(reader.fieldnames))
        rows = {}
        for number, row in enumerate(reader, 2):
            if None in row or None in row.values():
                raise _Row(path, number, ()).error(
                    f"{len(reader.fieldnames)} columns", ",".join(map(str, row.values()))
                )
            rows[row.pop("item_id")] = row
    return rows
