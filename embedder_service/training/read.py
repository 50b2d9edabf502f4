"""Reads a catalogue's folder, whatever its format."""

from __future__ import annotations

from pathlib import Path

from embedder_service.training.data import Catalogue, CatalogueError, without_damaged
from embedder_service.training.deepfashion import is_deepfashion, read_deepfashion
from embedder_service.training.folder import read_image_folder


def read_catalogue(folder: Path) -> Catalogue:
    """DeepFashion's lists where they are, else a folder of images; damaged photos set apart.

    Raises CatalogueError; also when nothing is left.
    """
    read = read_deepfashion if is_deepfashion(folder) else read_image_folder
    catalogue = without_damaged(read(folder))
    if not catalogue.photos:
        raise CatalogueError(f"images: expected one that decodes below {folder}, found none")
    return catalogue
