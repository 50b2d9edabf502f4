from __future__ import annotations

import base64
import io

import pytest
from PIL import Image

from embedder_service.judging.thumbnails import SIDE, Thumbnails, webp_uri
from embedder_service.training.data import Catalogue

pytestmark = pytest.mark.torch


@pytest.fixture
def thumbnails(tiny: Catalogue) -> Thumbnails:
    return Thumbnails(tiny.photos)


def test_a_thumbnail_is_a_square_jpeg_in_the_page_itself(tiny: Catalogue, thumbnails: Thumbnails):
    photo_id = tiny.photos[0].photo_id

    assert _read(thumbnails.uri(photo_id)).size == (SIDE, SIDE)
    assert _read(thumbnails.uri(photo_id, 48)).size == (48, 48)
    assert _read(thumbnails.changed(photo_id, "mirrored")).format == "JPEG"
    assert thumbnails.uri(photo_id) is thumbnails.uri(photo_id)


def test_an_atlas_holds_all_row_by_row(tiny: Catalogue, thumbnails: Thumbnails):
    ids = [photo.photo_id for photo in tiny.photos[:5]]

    assert _read(thumbnails.atlas(ids, columns=3, side=44)).size == (3 * 44, 2 * 44)


def test_a_webp_keeps_what_is_transparent():
    uri = webp_uri(Image.new("RGBA", (4, 4), (0, 0, 0, 0)))

    assert _read(uri).convert("RGBA").getpixel((0, 0))[3] == 0


def _read(uri: str) -> Image.Image:
    head, _, content = uri.partition(",")
    assert head.startswith("data:image/")
    return Image.open(io.BytesIO(base64.b64decode(content)))
