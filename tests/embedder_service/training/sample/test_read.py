"""The sample catalogue as it is read: DeepFashion's lists, and our own of attributes."""

from __future__ import annotations

from pathlib import Path

import pytest

from embedder_service.training.data import Catalogue, CatalogueError
from embedder_service.training.sample.read import read_sample


def test_its_photos_have_their_items_attributes_and_are_read_whole(tiny: Catalogue):
    photo = tiny.photos[0]

    assert tiny.format_name == "sample"
    assert set(photo.attributes) == {"category", "colour", "print"}
    assert photo.attributes["category"] == photo.category
    assert {photo.box for photo in tiny.photos} == {None}
    assert tiny.notes == ()


def test_a_torn_line_of_attributes_is_named(own_copy: Path):
    path = own_copy / "Anno" / "list_item_attributes.csv"
    lines = path.read_text().splitlines()
    lines[4] = lines[4].rsplit(",", 1)[0]
    path.write_text("\n".join(lines))

    with pytest.raises(CatalogueError, match=r"list_item_attributes.csv, line 5: expected 4"):
        read_sample(own_copy)
