"""Reads a catalogue's folder, whatever its format."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from embedder_service.training.data import (
    Catalogue,
    CatalogueError,
    spread_over_items,
    without_damaged,
)
from embedder_service.training.deepfashion import is_deepfashion, read_deepfashion
from embedder_service.training.folder import read_image_folder


def read_catalogue(folder: Path) -> Catalogue:
    """DeepFashion's lists where they are, else a folder of images; damaged photos set apart.

    Raises CatalogueError; also when nothing is left.
    """
    if is_deepfashion(folder):
        catalogue = without_damaged(read_deepfashion(folder))
    else:
        catalogue = without_damaged(read_image_folder(folder))
        catalogue = replace(catalogue, photos=spread_over_items(catalogue.photos))
    if not catalogue.photos:
        raise CatalogueError(f"images: expected one that decodes below {folder}, found none")
    return catalogue
