"""A photo with a box is that part of the picture, to the pixel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from embedder_service.images import InvalidRegion, Region
from embedder_service.spec import Preprocessing
from embedder_service.training.boxes import read_photo, region_of
from embedder_service.training.data import Box, Photo

_SIDE = Preprocessing(resize=32, crop=32)


def test_a_box_is_cut_out_to_the_pixel(tmp_path: Path):
    red = _photo(tmp_path, (10, 4, 26, 20))

    assert (read_photo(red, _SIDE)[0] == 200).all()
    assert (read_photo(red, _SIDE)[1:] == 0).all()


def test_a_box_is_of_the_picture_as_it_is_looked_at(tmp_path: Path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned a quarter to the right: what was at the left is at the top
    turned = _photo(tmp_path, (30 - 20, 10, 30 - 4, 26), exif=exif)

    assert (read_photo(turned, _SIDE)[0] == 200).all()


def test_what_reaches_outside_is_cut_off(tmp_path: Path):
    assert region_of((-5, 2, 99, 20), (40, 30)) == region_of((0, 2, 40, 20), (40, 30))


def test_without_a_box_the_photo_is_whole(tmp_path: Path):
    assert 0 < np.mean(read_photo(_photo(tmp_path, None), _SIDE)[0]) < 200


@pytest.mark.parametrize("width", [1, 7, 300, 4_000, 11_111])
def test_whole_pixels_stay_whole_as_fractions_of_32_bits(width: int):
    for left in range(0, width, max(1, width // 50)):
        region = region_of((left, 0, left + 1, 1), (width, 1))
        sent = [float(np.float32(edge)) for edge in (region.left, region.right)]

        assert (int(sent[0] * width), int(np.ceil(sent[1] * width))) == (left, left + 1)
        assert isinstance(region, Region)
        region.check()


@pytest.mark.parametrize("box", [(5, 5, 5, 9), (9, 0, 5, 5), (40, 0, 50, 9), (0, -9, 9, 0)])
def test_a_box_with_nothing_in_it_is_refused_with_both_sizes(box: Box):
    with pytest.raises(InvalidRegion, match=r"box: expected left < right .* of 40 x 30, got"):
        region_of(box, (40, 30))


def _photo(folder: Path, box: Box | None, exif: Image.Exif | None = None) -> Photo:
    """40 x 30 pixels as stored, black but for a red square from (10, 4) to (26, 20)."""
    picture = Image.new("RGB", (40, 30))
    picture.paste((200, 0, 0), (10, 4, 26, 20))
    path = folder / "photo.png"
    picture.save(path, exif=exif or Image.Exif())
    return Photo(photo_id="photo.png", path=path, item_id="photo", box=box)
