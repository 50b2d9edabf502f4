from __future__ import annotations

import io
import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from embedder_service.judging.changes import CHANGES, changed, cropped, mirrored, recoloured
from embedder_service.training.data import Catalogue, Photo

pytestmark = pytest.mark.torch


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_a_jpeg_and_the_same_each_time(tiny: Catalogue, change: str):
    photo = tiny.photos[0]

    copy = changed(photo, change)

    assert copy == changed(photo, change)
    assert copy != photo.path.read_bytes()
    assert Image.open(io.BytesIO(copy)).format == "JPEG"


def test_a_crop_is_three_quarters_of_each_side():
    assert cropped(Image.new("RGB", (80, 40)), random.Random(0)).size == (60, 30)
    assert cropped(Image.new("RGB", (1, 1)), random.Random(0)).size == (1, 1)


def test_a_mirrored_copy_shows_left_at_the_right():
    picture = Image.new("RGB", (4, 2))
    picture.putpixel((0, 0), (255, 0, 0))

    assert mirrored(picture, random.Random(0)).getpixel((3, 0)) == (255, 0, 0)


def test_a_recoloured_copy_has_another_hue_and_the_same_shapes():
    picture = Image.new("RGB", (8, 8), (200, 40, 40))

    hue, saturation, _ = np.asarray(recoloured(picture, random.Random(0)).convert("HSV"))[0, 0]

    assert (int(hue), int(saturation)) == (pytest.approx(18, abs=2), pytest.approx(153, abs=3))


def test_of_a_photo_with_a_box_that_part_is_copied(tmp_path: Path):
    picture = Image.new("RGBA", (100, 60), (0, 0, 0, 0))
    picture.paste((255, 0, 0, 255), (10, 10, 50, 50))
    picture.save(tmp_path / "a.png")
    photo = Photo(photo_id="a", path=tmp_path / "a.png", item_id="a", box=(10, 10, 50, 50))

    copy = Image.open(io.BytesIO(changed(photo, "mirrored")))

    assert copy.size == (40, 40)
    red, green, blue = np.asarray(copy, int).reshape(-1, 3).T
    assert red.min() > 240
    assert max(green.max(), blue.max()) < 15


def test_what_is_transparent_becomes_white(tmp_path: Path):
    Image.new("RGBA", (20, 20), (0, 0, 0, 0)).save(tmp_path / "a.png")
    photo = Photo(photo_id="a", path=tmp_path / "a.png", item_id="a")

    assert np.asarray(Image.open(io.BytesIO(changed(photo, "mirrored")))).min() > 250
