"""Writes DeepFashion's list files: a count, a line of column names, padded columns."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_TYPE_NUMBERS = {"upper": 1, "lower": 2, "full": 3}


@dataclass(frozen=True)
class DrawnPhoto:
    """A photo as the lists name it; the box is x1, y1, x2, y2 in pixels."""

    path: str
    split: str
    box: tuple[int, int, int, int]


@dataclass(frozen=True, kw_only=True)
class DrawnItem:
    """An item, with what an index may filter by."""

    item_id: str
    category: str
    colour: str
    print_name: str
    photos: tuple[DrawnPhoto, ...]


def write_lists(
    folder: Path, items: Sequence[DrawnItem], categories: Sequence[tuple[str, str]]
) -> None:
    """The four lists that DeepFashion has, and one of our own with the items' attributes."""
    anno, evaluation = folder / "Anno", folder / "Eval"
    anno.mkdir(parents=True, exist_ok=True)
    evaluation.mkdir(exist_ok=True)
    photos = sorted(
        ((photo, item) for item in items for photo in item.photos), key=lambda pair: pair[0].path
    )
    labels = {name: str(row + 1) for row, (name, _) in enumerate(categories)}
    _write(
        anno / "list_category_cloth.txt",
        ("category_name", "category_type"),
        [(name, str(_TYPE_NUMBERS[type_name])) for name, type_name in categories],
    )
    _write(
        anno / "list_category_img.txt",
        ("image_name", "category_label"),
        [(photo.path, labels[item.category]) for photo, item in photos],
    )
    _write(
        anno / "list_bbox.txt",
        ("image_name", "x_1", "y_1", "x_2", "y_2"),
        [(photo.path, *(f"{edge:03}" for edge in photo.box)) for photo, _ in photos],
    )
    _write(
        evaluation / "list_eval_partition.txt",
        ("image_name", "evaluation_status"),
        [(photo.path, photo.split) for photo, _ in photos],
    )
    _write_attributes(anno / "list_item_attributes.csv", items)


def _write(path: Path, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """As DeepFashion does: the first column padded to the widest, then single values."""
    width = max(len(row[0]) for row in rows) + 1
    lines = [str(len(rows)), "  ".join(columns)]
    lines += [row[0].ljust(width) + " ".join(row[1:]) for row in rows]
    path.write_text("\n".join(lines) + "\n")


def _write_attributes(path: Path, items: Sequence[DrawnItem]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("item_id", "category", "colour", "print"))
        writer.writerows(
            (item.item_id, item.category, item.colour, item.print_name)
            for item in sorted(items, key=lambda item: item.item_id)
        )
