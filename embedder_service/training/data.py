"""A catalogue to learn from: photos with their items, categories and splits."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

Split = Literal["train", "val", "test", "query", "gallery"]
SPLITS: tuple[Split, ...] = ("train", "val", "test", "query", "gallery")
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})
Box = tuple[float, float, float, float]

_TRAINED: tuple[Split, ...] = ("train", "val")


class CatalogueError(Exception):
    """A catalogue that cannot be read. The message names the file, the line and the expectation."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Photo:
    """One photograph of one item.

    `photo_id` is its path below the catalogue's folder. `category` is empty where none is known;
    an item that is not known is the photo's own, by its photo_id. `attributes` are the item's.
    `box` is the item's place in pixels of the upright picture: left, top, right, bottom; whoever
    reads a photo with a box reads that part (`boxes.read_photo`).
    """

    photo_id: str
    path: Path
    item_id: str
    category: str = ""
    split: Split = "train"
    attributes: Mapping[str, str] = field(default_factory=dict)
    box: Box | None = None


@dataclass(frozen=True)
class Damaged:
    """A file that cannot be used, and why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Catalogue:
    """Photos in the order of their ids; `damaged` files are named and not among them.

    `notes` say what else was left out or taken for granted. `copies` are groups of photos, by
    their ids, whose files have the same bytes. Without splits all photos stand as `train`.
    """

    folder: Path
    photos: tuple[Photo, ...]
    damaged: tuple[Damaged, ...] = ()
    notes: tuple[str, ...] = ()
    copies: tuple[tuple[str, ...], ...] = ()
    format_name: str = ""
    has_splits: bool = True

    def of(self, split: Split) -> tuple[Photo, ...]:
        """The photos of a split."""
        return tuple(photo for photo in self.photos if photo.split == split)

    @cached_property
    def items(self) -> tuple[str, ...]:
        """The item ids, sorted."""
        return tuple(sorted({photo.item_id for photo in self.photos}))

    @cached_property
    def categories(self) -> tuple[str, ...]:
        """The category names, sorted; empty where photos have none."""
        return tuple(sorted({photo.category for photo in self.photos if photo.category}))

    @cached_property
    def new_items(self) -> frozenset[str]:
        """The items that a training never sees: none of their photos trains or validates."""
        seen = {photo.item_id for photo in self.photos if photo.split in _TRAINED}
        return frozenset(self.items) - seen

    @cached_property
    def has_pairs(self) -> bool:
        """Whether any item has two photos, so that one can be looked for with the other."""
        return len(self.items) < len(self.photos)

    @cached_property
    def queries(self) -> tuple[Photo, ...]:
        """Held-out photos to search with: those of the split `query`, where there is one.

        Else the last test photo of each item that has another photo; where no item has two photos,
        every test photo.
        """
        if marked := self.of("query"):
            return marked
        if not self.has_pairs:
            return self.of("test")
        counts = Counter(photo.item_id for photo in self.photos)
        last = {photo.item_id: photo for photo in self.of("test") if counts[photo.item_id] > 1}
        return tuple(last.values())

    @cached_property
    def gallery(self) -> tuple[Photo, ...]:
        """What an index holds: the split `gallery`, or else every photo but the queries."""
        if marked := self.of("gallery"):
            return marked
        held_out = {photo.photo_id for photo in self.queries}
        return tuple(photo for photo in self.photos if photo.photo_id not in held_out)


def box_of(text: str) -> Box | None:
    """left top right bottom, as people write them and as pandas writes a list; None if blank.

    Raises ValueError.
    """
    edges = text.strip("[]() ").replace(",", " ").split()
    if not edges:
        return None
    left, top, right, bottom = map(float, edges)
    if not all(map(math.isfinite, (left, top, right, bottom))):
        raise ValueError(text)
    return left, top, right, bottom


def photo_id(path: Path, folder: Path) -> str:
    """A photo's id: its path below the catalogue's folder, with forward slashes."""
    return path.relative_to(folder).as_posix()
