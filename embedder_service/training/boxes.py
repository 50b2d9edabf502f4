"""Reads a photo as the catalogue means it: where it has a box, that part of the picture."""

from __future__ import annotations

from embedder_service import images
from embedder_service.images import InvalidRegion, Limits, Pixels, Region
from embedder_service.spec import Preprocessing
from embedder_service.training.data import Box, CatalogueError, Photo
from lookalike_kit.errors import ServiceError

# Edges move inwards by this many pixels, and `images` rounds them outwards again: whole pixels stay
# what they are in fractions of 32 bits, too, which is how a client sends them.
_INSET = 1e-3


def read_photo(photo: Photo, preprocessing: Preprocessing) -> Pixels:
    """uint8 [3, crop, crop], as serving reads the same region.

    Raises CatalogueError: every photo was looked at once, and this one has gone bad since.
    """
    try:
        return boxed_pixels(photo.path.read_bytes(), photo.box, preprocessing)
    except (ServiceError, OSError) as error:
        raise CatalogueError(
            f"{photo.path}: expected the image that was there, got {error}"
        ) from error


def boxed_pixels(content: bytes, box: Box | None, preprocessing: Preprocessing) -> Pixels:
    """As read_photo, of a file's bytes."""
    header = images.check(content, Limits())
    regions = [region_of(box, images.upright_size(content, header))] if box else []
    (pixels,) = images.decode(content, header, preprocessing, regions)
    return pixels


def region_of(box: Box, size: tuple[int, int]) -> Region:
    """The box in fractions of the upright picture's width and height, cut off at its edges.

    Raises InvalidRegion where nothing of the picture is in the box.
    """
    width, height = size
    left, top = max(box[0], 0), max(box[1], 0)
    right, bottom = min(box[2], width), min(box[3], height)
    if not (left < right and top < bottom):
        got = ", ".join(f"{edge:g}" for edge in box)
        raise InvalidRegion(
            "box: expected left < right and top < bottom, some of it in the picture of "
            f"{width} x {height}, got {got}"
        )
    inset = min(_INSET, (right - left) / 4, (bottom - top) / 4)
    return Region(
        left=(left + inset) / width,
        top=(top + inset) / height,
        right=(right - inset) / width,
        bottom=(bottom - inset) / height,
    )
