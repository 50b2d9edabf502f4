"""A JPEG's pixels as Pillow decodes them, to the bit, in two thirds of the time.

Both are libjpeg-turbo; Pillow keeps four bytes a pixel, is fed in pieces and copies its pixels to
hand them out. What is not quite in order, or neither grey nor of three colours, is left to Pillow:
one decoder alone decides what is broken.
"""

from __future__ import annotations

import math

import simplejpeg

from embedder_service.image_header import ImageHeader
from embedder_service.squares import Pixels

_SHRINKS = (8, 4, 2)
_COLOURS = ("Gray", "YCbCr", "RGB")


def decoded(content: bytes, header: ImageHeader, scale: float) -> Pixels | None:
    """uint8 [height, width, 3] at 1/8, 1/4, 1/2 or 1, `scale` or larger; None: Pillow shall try."""
    sides = (header.height, header.width)
    most = min(side // math.ceil(side * scale) for side in sides)
    shrink = next((each for each in _SHRINKS if each <= most), 1)
    height, width = (math.ceil(side / shrink) for side in sides)
    if colours(content) not in _COLOURS:
        return None
    try:
        pixels: Pixels = simplejpeg.decode_jpeg(
            content, "RGB", min_height=height, min_width=width, strict=True
        )
    except (ValueError, KeyError):
        return None
    return pixels if pixels.shape == (height, width, 3) else None


def colours(content: bytes) -> str:
    """As Gray, YCbCr, RGB, CMYK; "" where nobody says."""
    try:
        return str(simplejpeg.decode_jpeg_header(content)[2])
    except (ValueError, KeyError):  # it has no name for every sampling
        return ""
