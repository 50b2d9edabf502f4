"""Reads a catalogue, whatever its format."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from embedder_service.training.caltech import is_caltech, read_caltech
from embedder_service.training.damage import OnStep, without_damaged
from embedder_service.training.data import Catalogue, CatalogueError
from embedder_service.training.deepfashion import is_deepfashion, read_deepfashion
from embedder_service.training.folder import read_image_folder
from embedder_service.training.inshop import is_inshop, read_inshop
from embedder_service.training.manifest import is_manifest, read_manifest
from embedder_service.training.sample.read import is_sample, read_sample
from embedder_service.training.splits import spread_over_items

AUTO = "auto"


@dataclass(frozen=True)
class Format:
    """How a catalogue may lie on disk."""

    is_at: Callable[[Path], bool]
    read: Callable[[Path], Catalogue]


# The first that is there is taken: each is what those after it would take for their own, too.
FORMATS = {
    "manifest": Format(is_manifest, read_manifest),
    "sample": Format(is_sample, read_sample),
    "deepfashion-inshop": Format(is_inshop, read_inshop),
    "deepfashion-category": Format(is_deepfashion, read_deepfashion),
    "caltech-101": Format(is_caltech, read_caltech),
    "folder": Format(Path.is_dir, read_image_folder),
}


def read_catalogue(
    place: Path,
    format_name: str = AUTO,
    *,
    boxes: bool = True,
    on_step: OnStep = lambda *_: None,
) -> Catalogue:
    """The photos of a folder or a manifest, damaged ones set apart, splits made where it has none.

    `format_name` is one of FORMATS, or "auto": told by the files. Without `boxes` photos are read
    whole. Every photo is decoded once; `on_step(done, total)` follows. Raises CatalogueError; also
    when nothing is left.
    """
    name = format_at(place) if format_name == AUTO else format_name
    catalogue = replace(FORMATS[name].read(place), format_name=name)
    if not boxes:
        whole = (replace(photo, box=None) for photo in catalogue.photos)
        catalogue = replace(catalogue, photos=tuple(whole))
    catalogue = without_damaged(catalogue, on_step)
    if not catalogue.photos:
        raise CatalogueError(f"images: expected one that decodes below {place}, found none")
    if catalogue.has_splits:
        return catalogue
    return replace(catalogue, photos=spread_over_items(catalogue.photos))


def format_at(place: Path) -> str:
    """The name of the format that the files have. Raises CatalogueError."""
    for name, each in FORMATS.items():
        if each.is_at(place):
            return name
    raise CatalogueError(f"images: expected a folder, or a table in CSV or Parquet, got {place}")
