"""Caltech-101: a folder of photos for each class, no items, no splits of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from embedder_service.training.data import Catalogue
from embedder_service.training.folder import read_image_folder

_CLASSES = "101_ObjectCategories"
_CLUTTER = "BACKGROUND_Google"


def is_caltech(folder: Path) -> bool:
    """Whether the classes' folder is there, or the folder is it."""
    return folder.name == _CLASSES or (folder / _CLASSES).is_dir()


def read_caltech(folder: Path) -> Catalogue:
    """Every photo of a class. Pictures of anything, the 102nd folder, are left out.

    Raises CatalogueError.
    """
    classes = folder / _CLASSES if (folder / _CLASSES).is_dir() else folder
    catalogue = read_image_folder(classes)
    kept = tuple(photo for photo in catalogue.photos if photo.category != _CLUTTER)
    left_out = len(catalogue.photos) - len(kept)
    note = f"{_CLUTTER}: {left_out:,} photos of no class are left out"
    return replace(catalogue, photos=kept, notes=(note,) if left_out else ())
