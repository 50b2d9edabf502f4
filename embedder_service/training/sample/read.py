"""Reads the sample catalogue: DeepFashion's files, and a list of our own beside them.

Its boxes are in the lists, and not used: that garments stand anywhere, small or large, before
whatever lies behind them, is what makes it a catalogue to learn from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from embedder_service.training.data import Catalogue, CatalogueError
from embedder_service.training.deepfashion import read_deepfashion
from embedder_service.training.tables import read_table

_ATTRIBUTES = Path("Anno", "list_item_attributes.csv")


def is_sample(folder: Path) -> bool:
    """Whether our own list is there."""
    return (folder / _ATTRIBUTES).is_file()


def read_sample(folder: Path) -> Catalogue:
    """Every photo, with its item's attributes. Raises CatalogueError."""
    catalogue = read_deepfashion(folder)
    attributes = _attributes(folder / _ATTRIBUTES)
    photos = (
        replace(photo, box=None, attributes=attributes.get(photo.item_id, photo.attributes))
        for photo in catalogue.photos
    )
    return replace(catalogue, photos=tuple(photos), notes=())


def _attributes(path: Path) -> Mapping[str, Mapping[str, str]]:
    table = read_table(path)
    if "item_id" not in table.names:
        raise CatalogueError(f"{path}, line 1: expected a column item_id, got {table.names}")
    return {
        row["item_id"]: {name: value for name, value in row.items() if name != "item_id"}
        for _, row in table.rows
    }
