"""Small pictures of photos, as data URIs: the page holds them itself."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
from PIL import Image

from embedder_service import images
from embedder_service.images import Pixels
from embedder_service.judging.changes import changed
from embedder_service.judging.embedding import ahead
from embedder_service.spec import Preprocessing
from embedder_service.training.boxes import read_photo
from embedder_service.training.data import Photo

SIDE = 152
_QUALITY = 80


class Thumbnails:
    """By photo id; each is made once."""

    def __init__(self, photos: Sequence[Photo]) -> None:
        self._photos: Mapping[str, Photo] = {photo.photo_id: photo for photo in photos}
        self.uri = cache(self._uri)

    def photo(self, photo_id: str) -> Photo:
        return self._photos[photo_id]

    def _uri(self, photo_id: str, side: int = SIDE) -> str:
        return jpeg_uri(self.square(photo_id, side))

    def square(self, photo_id: str, side: int) -> Image.Image:
        """What the model sees of it: its middle."""
        return _image(read_photo(self._photos[photo_id], _sides(side)))

    def squares(self, photo_ids: Sequence[str], side: int) -> list[Image.Image]:
        return list(ahead(lambda photo_id: self.square(photo_id, side), photo_ids))

    def changed(self, photo_id: str, change: str) -> str:
        """Of the photo with a change that the copies were made with."""
        (pixels,) = images.read(changed(self._photos[photo_id], change), _sides(SIDE))
        return jpeg_uri(_image(pixels))

    def atlas(self, photo_ids: Sequence[str], columns: int, side: int) -> str:
        """All in one picture, row by row."""
        sheet = Image.new("RGB", (columns * side, -(-len(photo_ids) // columns) * side))
        for number, square in enumerate(self.squares(photo_ids, side)):
            sheet.paste(square, (number % columns * side, number // columns * side))
        return jpeg_uri(sheet)


def jpeg_uri(image: Image.Image) -> str:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=_QUALITY, optimize=True)
    return _data_uri(file.getvalue(), "jpeg")


def webp_uri(image: Image.Image) -> str:
    """What is transparent stays so."""
    file = io.BytesIO()
    image.save(file, "WEBP", quality=_QUALITY)
    return _data_uri(file.getvalue(), "webp")


def _data_uri(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _sides(side: int) -> Preprocessing:
    return Preprocessing(resize=side, crop=side)


def _image(pixels: Pixels) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
