"""Splits for photos that came without."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from embedder_service.training.data import Photo, Split


def spread_over_items(photos: Sequence[Photo]) -> tuple[Photo, ...]:
    """Every item's photos over train, val and test; deterministic by the ids' order.

    See `_item_splits`.
    """
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
