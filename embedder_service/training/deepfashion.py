"""DeepFashion's category benchmark, and the sample catalogue, which has the same files.

Labels are 1-based rows of list_category_cloth.txt. An image's folder is its item.
"""

from __future__ import annotations

from pathlib import Path

from embedder_service.training.data import Catalogue, Photo, Split
from embedder_service.training.lists import Images, Row, find_list, read_boxes, read_list

_LABELS = "list_category_img.txt"
_PARTITION = "list_eval_partition.txt"
_SPLITS: tuple[Split, ...] = ("train", "val", "test")


def is_deepfashion(folder: Path) -> bool:
    """Whether the folder has one of the benchmark's two lists of images."""
    return any(find_list(folder, name) for name in (_LABELS, _PARTITION))


def read_deepfashion(folder: Path) -> Catalogue:
    """Every photo of the lists. Raises CatalogueError."""
    categories = [row.values[0] for row in read_list(folder, "list_category_cloth.txt", 2)]
    splits = {row.values[0]: row.split(_SPLITS) for row in read_list(folder, _PARTITION, 2)}
    boxes, notes = read_boxes(folder, "list_bbox.txt", 5)
    images = Images(folder)
    attributes: dict[str, dict[str, str]] = {}
    photos = []
    for row in read_list(folder, _LABELS, 2):
        name = row.values[0]
        if name not in splits:
            raise row.error(f"an image of {_PARTITION}", name)
        category = _category(row, categories)
        path = images.path(row)
        item_id = path.parent.name
        photos.append(
            Photo(
                photo_id=name,
                path=path,
                item_id=item_id,
                category=category,
                split=splits[name],
                attributes=attributes.setdefault(item_id, {"category": category}),
                box=boxes.get(name),
            )
        )
    return Catalogue(folder, tuple(sorted(photos, key=lambda photo: photo.photo_id)), notes=notes)


def _category(row: Row, categories: list[str]) -> str:
    label = row.whole(1)
    if not 1 <= label <= len(categories):
        raise row.error(
            f"a label from 1 to {len(categories)}, the rows of list_category_cloth.txt", str(label)
        )
    return categories[label - 1]
