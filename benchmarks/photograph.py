"""Photographs to decode: drawn, and no easier on a decoder than a camera's."""

import io

import numpy as np
from PIL import Image


def photograph(width: int, height: int, number: int = 0) -> bytes:
    """A JPEG as a camera's: soft shapes, fine grain, 4:2:0, quality 88. Others by number."""
    draw = np.random.default_rng(number)
    shapes = Image.fromarray(draw.integers(0, 256, (9, 12, 3), np.uint8))
    soft = np.asarray(shapes.resize((width, height), Image.Resampling.BICUBIC), np.int16)
    grain = draw.normal(0, 6, (height, width, 1)).astype(np.int16)
    file = io.BytesIO()
    picture = Image.fromarray(np.clip(soft + grain, 0, 255).astype(np.uint8))
    picture.save(file, "JPEG", quality=88)
    return file.getvalue()
