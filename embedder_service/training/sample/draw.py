"""Draws the sample catalogue into a folder, in DeepFashion's own file format.

    img/<item_id>/img_00000001.jpg ...
    Anno/list_category_cloth.txt, list_category_img.txt, list_bbox.txt, list_item_attributes.csv
    Eval/list_eval_partition.txt

The same settings give the same bytes, with the same Pillow and numpy.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from embedder_service.training.sample.categories import CATEGORIES
from embedder_service.training.sample.cuts import Design, designs
from embedder_service.training.sample.garment import cutout
from embedder_service.training.sample.lists import DrawnItem, DrawnPhoto, write_lists
from embedder_service.training.sample.photo import photograph

OnPhotos = Callable[[int, int], None]
_ARMS_DEGREES = (-5.0, 13.0)  # an item lies with its arms in, or out


@dataclass(frozen=True, kw_only=True)
class SampleSettings:
    """What to draw. `new_item_share` of the items are in the test split with all their photos."""

    items: int = 300
    photos_per_item: int = 8
    side: int = 224
    seed: int = 0
    new_item_share: float = 0.2
    categories: int = len(CATEGORIES)
    workers: int = 2

    def __post_init__(self) -> None:
        _expect("items", self.items >= 1, "at least 1", self.items)
        _expect("photos_per_item", self.photos_per_item >= 3, "at least 3", self.photos_per_item)
        _expect("side", 48 <= self.side <= 1024, "48 to 1024 pixels", self.side)
        _expect("new_item_share", 0 <= self.new_item_share < 1, "0 to 1", self.new_item_share)
        most = len(CATEGORIES)
        _expect("categories", 1 <= self.categories <= most, f"1 to {most}", self.categories)


def draw(folder: Path, settings: SampleSettings, on_photos: OnPhotos = lambda *_: None) -> None:
    """Draws everything; `on_photos(drawn, total)` is told after each item. The lists come last."""
    drawn: list[DrawnItem] = []
    total = settings.items * settings.photos_per_item
    for item in _drawn_items(folder, settings):
        drawn.append(item)
        on_photos(len(drawn) * settings.photos_per_item, total)
    write_lists(folder, drawn, [(c.name, c.type_name) for c in CATEGORIES[: settings.categories]])


def _drawn_items(folder: Path, settings: SampleSettings) -> Iterator[DrawnItem]:
    numbers = range(settings.items)
    if settings.workers == 1:
        yield from (_draw_item(folder, settings, number) for number in numbers)
        return
    # Spawned, not forked: the caller may have threads.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(settings.workers, mp_context=spawn) as pool:
        folders, same = [folder] * settings.items, [settings] * settings.items
        yield from pool.map(_draw_item, folders, same, numbers, chunksize=5)


def _draw_item(folder: Path, settings: SampleSettings, number: int) -> DrawnItem:
    design, is_new = _planned(settings)[number]
    item_id = f"{design.fabric.words}_{design.word}_{design.category.name}_{number + 1:04}"
    place = folder / "img" / item_id
    place.mkdir(parents=True, exist_ok=True)
    # The same cloth, cut from the same place, whichever way the arms lie.
    cutouts = [
        cutout(design.garment(arms), design.fabric, np.random.default_rng([settings.seed, number]))
        for arms in _ARMS_DEGREES
    ]
    splits = _splits(settings, number, is_new)
    photos = []
    for index, split in enumerate(splits):
        rng = np.random.default_rng([settings.seed, number, index])
        picture, box = photograph(cutouts[rng.integers(2)], settings.side, rng)
        name = f"img_{index + 1:08}.jpg"
        picture.save(place / name, quality=88)
        photos.append(DrawnPhoto(f"img/{item_id}/{name}", split, box))
    return DrawnItem(
        item_id=item_id,
        category=design.category.name,
        colour=design.fabric.colour,
        print_name=design.fabric.print_name,
        photos=tuple(photos),
    )


@lru_cache(maxsize=2)
def _planned(settings: SampleSettings) -> list[tuple[Design, bool]]:
    """Every item in order, categories taking turns, and whether it is new to a trained model."""
    each = -(-settings.items // settings.categories)
    rows = []
    for number, category in enumerate(CATEGORIES[: settings.categories]):
        rng = np.random.default_rng([settings.seed, 1000 + number])
        new = set(rng.permutation(each)[: round(each * settings.new_item_share)].tolist())
        rows.append([(item, i in new) for i, item in enumerate(designs(category, each, rng))])
    return [row[turn] for turn in range(each) for row in rows][: settings.items]


def _splits(settings: SampleSettings, number: int, is_new: bool) -> list[str]:
    """All test for a new item; otherwise one test, one validation, the others to train on."""
    if is_new:
        return ["test"] * settings.photos_per_item
    splits = ["train"] * settings.photos_per_item
    test, val = np.random.default_rng([settings.seed, number]).permutation(len(splits))[:2]
    splits[test], splits[val] = "test", "val"
    return splits


def _expect(name: str, holds: bool, expected: str, got: object) -> None:
    if not holds:
        raise ValueError(f"{name}: expected {expected}, got {got}")
