"""One's own photographs: any tree of folders with images.

photo.jpg                   no category; each photo is its own item
<category>/photo.jpg        each photo is its own item
<category>/<item>/photo.jpg  deeper folders belong to the item
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from embedder_service.training.data import (
    IMAGE_SUFFIXES,
    Catalogue,
    CatalogueError,
    Photo,
    photo_id,
)


def read_image_folder(folder: Path) -> Catalogue:
    """Every JPEG, PNG and WebP below the folder, hidden ones aside; no splits yet.

    Raises CatalogueError.
    """
    if not folder.is_dir():
        raise CatalogueError(f"images: expected a folder, got {folder}")
    paths = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file() and not _is_hidden(path, folder)
    )
    if not paths:
        raise CatalogueError(f"images: expected JPEG, PNG or WebP files below {folder}, found none")
    return Catalogue(folder, tuple(_photo(path, folder) for path in paths))


def _photo(path: Path, folder: Path) -> Photo:
    name = photo_id(path, folder)
    above = PurePosixPath(name).parent.parts
    category = above[0] if above else ""
    return Photo(
        photo_id=name,
        path=path,
        item_id="/".join(above) if len(above) > 1 else name,
        category=category,
        attributes={"category": category} if category else {},
    )


def _is_hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)
