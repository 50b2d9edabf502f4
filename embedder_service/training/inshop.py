"""DeepFashion's in-shop benchmark: an item's photos to search with, and those to be found.

Its list of splits names the item of each image; an item's photos may lie in several folders. Images
are img/<WOMEN or MEN>/<category>/<item id>/<photo>.jpg.
"""

from __future__ import annotations

from pathlib import Path

from embedder_service.training.data import Catalogue, Photo, Split
from embedder_service.training.lists import (
    Images,
    column_names,
    find_list,
    read_boxes,
    read_list,
)

_PARTITION = "list_eval_partition.txt"
_COLUMNS = ["image_name", "item_id", "evaluation_status"]
_SPLITS: tuple[Split, ...] = ("train", "query", "gallery")


def is_inshop(folder: Path) -> bool:
    """Whether the folder's list of splits has the benchmark's columns."""
    path = find_list(folder, _PARTITION)
    return path is not None and column_names(path) == _COLUMNS


def read_inshop(folder: Path) -> Catalogue:
    """Every photo of the list of splits. Raises CatalogueError."""
    boxes, notes = read_boxes(folder, "list_bbox_inshop.txt", 7)
    images = Images(folder)
    attributes: dict[str, dict[str, str]] = {}
    photos = []
    for row in read_list(folder, _PARTITION, len(_COLUMNS)):
        name, item_id = row.values[:2]
        category, gender = _kind(name)
        photos.append(
            Photo(
                photo_id=name,
                path=images.path(row),
                item_id=item_id,
                category=category,
                split=row.split(_SPLITS),
                # An item's are those of its first photo: an index wants its photos to agree.
                attributes=attributes.setdefault(item_id, _known(category=category, gender=gender)),
                box=boxes.get(name),
            )
        )
    return Catalogue(folder, tuple(sorted(photos, key=lambda photo: photo.photo_id)), notes=notes)


def _kind(name: str) -> tuple[str, str]:
    """Category and gender: the folders above the item's. Empty where there are none."""
    category, gender, *_ = [*reversed(name.split("/")[1:-2]), "", ""]
    return category, gender


def _known(**attributes: str) -> dict[str, str]:
    return {name: value for name, value in attributes.items() if value}
