"""One's own photographs: any tree of folders with images.

photo.jpg                    no category; each photo is its own item
<category>/photo.jpg         each photo is its own item
<category>/<item>/photo.jpg  deeper folders belong to the item

Where every folder at the top is a split's (train, val or valid or validation, test, query, gallery)
the same lies within these.
"""

from __future__ import annotations

from pathlib import Path

from embedder_service.training.data import (
    IMAGE_SUFFIXES,
    SPLITS,
    Catalogue,
    CatalogueError,
    Photo,
    Split,
    photo_id,
)

_SPLIT_FOLDERS: dict[str, Split] = {
    **{split: split for split in SPLITS},
    "valid": "val",
    "validation": "val",
}


def read_image_folder(folder: Path) -> Catalogue:
    """Every JPEG, PNG and WebP below the folder, hidden ones aside. Raises CatalogueError."""
    if not folder.is_dir():
        raise CatalogueError(f"images: expected a folder, got {folder}")
    names = sorted(
        photo_id(path, folder)
        for path in folder.rglob("*")
        if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()
    )
    names = [name for name in names if not _is_hidden(name)]
    if not names:
        raise CatalogueError(f"images: expected JPEG, PNG or WebP files below {folder}, found none")
    has_splits = all("/" in name and name.split("/")[0] in _SPLIT_FOLDERS for name in names)
    photos = tuple(_photo(folder, name, has_splits) for name in names)
    return Catalogue(folder, photos, has_splits=has_splits)


def _photo(folder: Path, name: str, in_split: bool) -> Photo:
    *above, _ = name.split("/")
    split = _SPLIT_FOLDERS[above.pop(0)] if in_split else "train"
    category = above[0] if above else ""
    return Photo(
        photo_id=name,
        path=folder / name,
        item_id="/".join(above) if len(above) > 1 else name,
        category=category,
        split=split,
        attributes={"category": category} if category else {},
    )


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))
