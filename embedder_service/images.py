"""Image bytes -> the pixels the model sees.

Serving, golden photos and the evaluation of a training all read images here, so that a vector does
not depend on who asked for it.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

import grpc
import numpy as np
import PIL
import simplejpeg
from lookalike.v1 import error_reason_pb2 as reasons
from PIL import Image

from embedder_service import jpeg
from embedder_service.image_header import BrokenImage, ImageHeader, UnsupportedImage, read_header
from embedder_service.spec import Preprocessing
from embedder_service.squares import Pixels, square
from lookalike_kit.errors import ServiceError

__all__ = [
    "DECODER",
    "MAX_REGIONS",
    "BrokenImage",
    "ImageTooLarge",
    "InvalidRegion",
    "Limits",
    "Photo",
    "Pixels",
    "Region",
    "UnsupportedImage",
    "check",
    "cut",
    "decode",
    "read",
    "upright_size",
]

# And what makes the squares; it is not loaded for its number.
DECODER = f"simplejpeg {simplejpeg.__version__}, pillow {PIL.__version__}, torch {version('torch')}"

# EXIF orientations whose rows are the upright picture's columns; and of each, once these have
# changed places, the steps through its rows and columns.
ON_ITS_SIDE = (5, 6, 7, 8)
FLIPPED = {2: (1, -1), 3: (-1, -1), 4: (-1, 1), 6: (1, -1), 7: (-1, -1), 8: (-1, 1)}
_ORIENTATION = 0x0112


class ImageTooLarge(ServiceError):
    """More bytes, pixels, frames or scans than the limits; told from the header."""

    status = grpc.StatusCode.INVALID_ARGUMENT
    reason = reasons.ERROR_REASON_IMAGE_TOO_LARGE


class InvalidRegion(ServiceError):
    """Empty, or reaches outside the image."""

    status = grpc.StatusCode.INVALID_ARGUMENT
    reason = reasons.ERROR_REASON_INVALID_REGION


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What is decoded at all. A camera's progressive JPEG has about 10 scans."""

    max_bytes: int = 16 << 20
    max_pixels: int = 50_000_000
    max_frames: int = 1
    max_scans: int = 100
    # A scan passes over all pixels at about 50 million a second.
    max_scanned_pixels: int = 250_000_000


@dataclass(frozen=True)
class Region:
    """A box of the upright image, in fractions of its width and height."""

    left: float = 0.0
    top: float = 0.0
    right: float = 1.0
    bottom: float = 1.0

    @property
    def is_inside(self) -> bool:
        """And not empty. NaN is outside, too."""
        return 0 <= self.left < self.right <= 1 and 0 <= self.top < self.bottom <= 1

    def of(self, height: int, width: int) -> tuple[slice, slice]:
        """Its rows and columns, rounded outwards to whole pixels, of a picture of this size."""
        left, top = math.floor(self.left * width), math.floor(self.top * height)
        right, bottom = math.ceil(self.right * width), math.ceil(self.bottom * height)
        return slice(top, max(top + 1, bottom)), slice(left, max(left + 1, right))

    def check(self) -> None:
        """Raises InvalidRegion."""
        if not self.is_inside:
            raise InvalidRegion(
                "regions: expected 0 <= left < right <= 1 and 0 <= top < bottom <= 1, "
                f"got left {self.left:g}, top {self.top:g}, right {self.right:g}, "
                f"bottom {self.bottom:g}"
            )


WHOLE = Region()
MAX_REGIONS = 16  # of one photo


@dataclass(frozen=True)
class Photo:
    """One image of a call: a file, and the boxes of it that are asked for (none: all of it)."""

    content: bytes
    regions: tuple[Region, ...] = ()

    @property
    def squares(self) -> int:
        """How many vectors it asks for."""
        return len(self.regions) or 1


def check(content: bytes, limits: Limits) -> ImageHeader:
    """The header, if the file may be decoded. Costs no memory and microseconds.

    Raises UnsupportedImage, BrokenImage, ImageTooLarge.
    """
    _within("bytes", len(content), limits.max_bytes)
    header = read_header(content)
    _within("pixels", header.pixels, limits.max_pixels)
    _within("frames", header.frames, limits.max_frames)
    _within("scans", header.scans, limits.max_scans)
    if header.scans > 1:
        _within("pixels x scans", header.pixels * header.scans, limits.max_scanned_pixels)
    return header


def upright_size(content: bytes, header: ImageHeader) -> tuple[int, int]:
    """Width and height as the picture is looked at, by its EXIF orientation; not decoded.

    Raises BrokenImage.
    """
    try:
        is_on_its_side = orientation(content, header) in ON_ITS_SIDE
    except MemoryError:
        raise
    except Exception as error:  # as in decode
        raise _undecodable(header, error) from error
    return (header.height, header.width) if is_on_its_side else (header.width, header.height)


def read(
    content: bytes,
    preprocessing: Preprocessing,
    regions: Sequence[Region] = (),
    limits: Limits = Limits(),
) -> list[Pixels]:
    """One uint8 [3, crop, crop] a region (none: the whole image), decoding once.

    The same as torchvision's Resize(resize, antialias) and CenterCrop(crop) of the upright image or
    region. Raises UnsupportedImage, BrokenImage, ImageTooLarge, InvalidRegion.
    """
    return decode(content, check(content, limits), preprocessing, regions)


def decode(
    content: bytes,
    header: ImageHeader,
    preprocessing: Preprocessing,
    regions: Sequence[Region] = (),
) -> list[Pixels]:
    """As read, of a file whose header `check` has returned. Raises BrokenImage, InvalidRegion."""
    regions = regions or (WHOLE,)
    for region in regions:
        region.check()
    try:
        upright = _upright(content, header, _needed_scale(header, regions, preprocessing.resize))
    except MemoryError:
        raise
    except Exception as error:  # whatever a damaged file makes Pillow raise, as AssertionError
        raise _undecodable(header, error) from error
    return [square(cut(upright, region), preprocessing) for region in regions]


def _undecodable(header: ImageHeader, error: Exception) -> BrokenImage:
    # Pillow's own words of a file that it does not know are the address of our buffer.
    why = "no such file" if isinstance(error, PIL.UnidentifiedImageError) else error
    return BrokenImage(
        f"content: expected a whole {header.format} file, got one that does not decode: {why}"
    )


def _needed_scale(header: ImageHeader, regions: Sequence[Region], resize: int) -> float:
    """How far the picture may shrink before any region's shorter side is below `resize`."""
    # Which side is the width is known only after EXIF; the smaller fraction of the smaller side is
    # safe either way.
    fraction = min(min(r.right - r.left, r.bottom - r.top) for r in regions)
    return resize / (min(header.width, header.height) * fraction)


def _upright(content: bytes, header: ImageHeader, scale: float) -> Pixels:
    """uint8 [height, width, 3], at `scale` or larger: JPEGs decode at 1/2, 1/4 and 1/8 for less."""
    pixels = jpeg.decoded(content, header, scale) if header.format == "JPEG" else None
    if pixels is None:
        return _upright_by_pillow(content, header, scale)
    return _turned(pixels, orientation(content, header))


def _upright_by_pillow(content: bytes, header: ImageHeader, scale: float) -> Pixels:
    image: Image.Image
    with Image.open(io.BytesIO(content), formats=[header.format]) as image:
        if image.size != (header.width, header.height):
            raise ValueError(f"a picture of {image.size} in a file of {header}")
        if scale < 1:
            image.draft(None, (math.ceil(image.width * scale), math.ceil(image.height * scale)))
        image.load()
        return _turned(np.array(_rgb(image)), _told(image))


def orientation(content: bytes, header: ImageHeader) -> int:
    """By EXIF, 1 to 8; 1 is upright. Raises whatever Pillow does."""
    if not header.has_metadata:
        return 1
    with Image.open(io.BytesIO(content), formats=[header.format]) as image:
        return _told(image)


def _told(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # noqa: BLE001 - whatever noise makes Pillow raise
        return 1  # cameras write broken EXIF around sound pictures
    return value if isinstance(value, int) else 1


def _turned(pixels: Pixels, orientation: int) -> Pixels:
    """Upright. A view: what is not needed is not moved."""
    if orientation in ON_ITS_SIDE:
        pixels = pixels.transpose(1, 0, 2)
    down, right = FLIPPED.get(orientation, (1, 1))
    return pixels[::down, ::right]


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "I;16":  # convert() would clip the upper byte instead of keeping it
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if not image.has_transparency_data:
        return image if image.mode == "RGB" else image.convert("RGB")
    white = Image.new("RGBA", image.size, "white")
    white.alpha_composite(image.convert("RGBA"))
    return white.convert("RGB")


def cut(pixels: Pixels, region: Region) -> Pixels:
    """The region of an upright picture, rounded outwards to whole pixels. A view."""
    height, width, _ = pixels.shape
    return pixels[region.of(height, width)]


def _within(what: str, got: int, limit: int) -> None:
    if got > limit:
        raise ImageTooLarge(
            f"content: expected at most {limit} {what}, got {got}", limit=f"{limit} {what}"
        )
