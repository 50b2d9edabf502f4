"""What is set apart before the training, because no index could hold it."""

from pathlib import Path

import pytest
from lookalike_cli.demo.learn import without_long_ids

from embedder_service.training.data import Catalogue, Photo

pytestmark = pytest.mark.torch


def test_photos_whose_ids_are_too_long_or_not_utf8_are_named_and_left_out():
    names = ("shirt.jpg", "x" * 200 + ".jpg", "caf\udce9.jpg", "été 2026.jpg")
    photos = tuple(Photo(photo_id=name, path=Path(name), item_id=name) for name in names)

    kept = without_long_ids(Catalogue(Path(), photos))

    assert [photo.photo_id for photo in kept.photos] == ["shirt.jpg", "été 2026.jpg"]
    long, other = kept.damaged
    assert long.reason == "item_id: expected at most 128 bytes of folders and name, got 204"
    assert "in UTF-8, got 'caf\\udce9.jpg'" in other.reason
