"""A catalogue to learn from: photos with their items, categories and splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from embedder_service import images
from embedder_service.spec import Preprocessing
from lookalike_kit.errors import ServiceError

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})

_GLANCE = Preprocessing(resize=32, crop=32)


class CatalogueError(Exception):
    """A catalogue that cannot be read. The message names the file, the line and the expectation."""


@dataclass(frozen=True, kw_only=True)
class Photo:
    """One photograph of one item.

    `photo_id` is its path below the catalogue's folder. `category` is empty where none is known.
    `attributes` are the item's. `box` is the item's place in pixels: left, top, right, bottom.
    """

    photo_id: str
    path: Path
    item_id: str
    category: str = ""
    split: Split = "train"
    attributes: Mapping[str, str] = field(default_factory=dict)
    box: tuple[int, int, int, int] | None = None


@dataclass(frozen=True)
class Damaged:
    """A file that does not decode, and why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Catalogue:
    """Photos in the order of their ids; `damaged` files are named and not among them."""

    folder: Path
    photos: tuple[Photo, ...]
    damaged: tuple[Damaged, ...] = ()

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
        """The items that a training never sees: all their photos are test photos."""
        seen = {photo.item_id for photo in self.photos if photo.split != "test"}
        return frozenset(self.items) - seen

    @cached_property
    def has_pairs(self) -> bool:
        """Whether any item has two photos, so that one can be looked for with the other."""
        return len(self.items) < len(self.photos)

    @cached_property
    def queries(self) -> tuple[Photo, ...]:
        """Held-out photos to search with: the last test photo of each item that has another photo.

        Where no item has two photos, every test photo.
        """
        if not self.has_pairs:
            return self.of("test")
        counts = Counter(photo.item_id for photo in self.photos)
        last = {photo.item_id: photo for photo in self.of("test") if counts[photo.item_id] > 1}
        return tuple(last.values())

    @cached_property
    def gallery(self) -> tuple[Photo, ...]:
        """What an index holds: every photo but the queries."""
        held_out = {photo.photo_id for photo in self.queries}
        return tuple(photo for photo in self.photos if photo.photo_id not in held_out)


def without_damaged(catalogue: Catalogue, threads: int = 2) -> Catalogue:
    """Decodes every photo once; those that do not decode move to `damaged`, with the reason."""
    with ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(damage, [photo.path for photo in catalogue.photos]))
    return replace(
        catalogue,
        photos=tuple(p for p, bad in zip(catalogue.photos, found, strict=True) if bad is None),
        damaged=(*catalogue.damaged, *(bad for bad in found if bad is not None)),
    )


def damage(path: Path) -> Damaged | None:
    """Why a file cannot be used, or None."""
    try:
        images.read(path.read_bytes(), _GLANCE)
    except (ServiceError, OSError) as error:
        return Damaged(path, str(error))
    return None


def photo_id(path: Path, folder: Path) -> str:
    """A photo's id: its path below the catalogue's folder, with forward slashes."""
    return path.relative_to(folder).as_posix()


def spread_over_items(photos: Sequence[Photo]) -> tuple[Photo, ...]:
    """Splits for photos that came without: see `_item_splits`; deterministic by the ids' order."""
    by_item: dict[str, list[Photo]] = {}
    for photo in photos:
        by_item.setdefault(photo.item_id, []).append(photo)
    split_photos = [
        replace(photo, split=split)
        for turn, (_, group) in enumerate(sorted(by_item.items()))
        for photo, split in zip(group, _item_splits(turn, len(group)), strict=True)
    ]
    return tuple(sorted(split_photos, key=lambda photo: photo.photo_id))


def _item_splits(turn: int, count: int) -> list[Split]:
    """Every fifth item is new to the model; the others keep their last photo, or two, out of it.

    A lone photo is its own item: of ten one is a query and one validates, of the first three one
    is a query.
    """
    if count == 1:
        lone: dict[int, Split] = {2: "test", 7: "val"}
        return [lone.get(turn % 10, "train")]
    if turn % 5 == 4:
        return ["test"] * count
    held_out: list[Split] = ["test"] if count < 4 else ["val", "test"]
    train: list[Split] = ["train"] * (count - len(held_out))
    return train + held_out
