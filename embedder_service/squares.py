"""An upright picture -> the square that the model sees.

What torchvision's Resize(resize, antialias) and CenterCrop(crop) make of it, to one level in 255.
PyTorch resizes three times as fast as Pillow, where the processor has AVX2, and starts no threads
for it. It cannot begin within a pixel, though: of a long picture it would compute what is cropped
away, so that Pillow has those.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.Image import Resampling

from embedder_service.spec import Preprocessing

Pixels = npt.NDArray[np.uint8]

_LONGEST = 2.0  # times the shorter side


def square(pixels: Pixels, preprocessing: Preprocessing) -> Pixels:
    """uint8 [height, width, 3] -> uint8 [3, crop, crop]; costs at most its own pixels."""
    resized, firsts = resized_and_firsts(pixels.shape[:2], preprocessing)
    way = _cropped_first if is_long(pixels.shape[:2]) else _resized_first
    return way(pixels, resized, firsts, preprocessing.crop)


def is_long(sides: Sequence[int]) -> bool:
    """Whether a picture is to be cropped before it is resized."""
    return max(sides) > _LONGEST * min(sides)


def resized_and_firsts(
    sides: Sequence[int], preprocessing: Preprocessing
) -> tuple[list[int], list[int]]:
    """What its sides become, and where the crop begins there."""
    resized = [preprocessing.resize * side // min(sides) for side in sides]
    return resized, [round((side - preprocessing.crop) / 2) for side in resized]


def _resized_first(pixels: Pixels, resized: list[int], firsts: list[int], crop: int) -> Pixels:
    # Whoever only looks at files need not wait seconds for torch.
    from torch import from_numpy
    from torch.nn.functional import interpolate

    small = pixels.transpose(2, 0, 1)
    if list(small.shape[1:]) != resized:  # for the same size it would start threads, to copy
        planes = from_numpy(np.ascontiguousarray(pixels).transpose(2, 0, 1)[np.newaxis])
        small = interpolate(planes, resized, mode="bilinear", antialias=True)[0].numpy()
    top, left = firsts
    return np.ascontiguousarray(small[:, top : top + crop, left : left + crop])


def _cropped_first(pixels: Pixels, resized: list[int], firsts: list[int], crop: int) -> Pixels:
    """In one step: a picture of 1 x 50,000,000 would else become one of 232 x 11,600,000,000."""
    rows, columns = (
        _Span(side, to, first, crop)
        for side, to, first in zip(pixels.shape[:2], resized, firsts, strict=True)
    )
    image = Image.fromarray(np.ascontiguousarray(pixels[rows.near, columns.near]))
    box = (columns.begin, rows.begin, columns.end, rows.end)
    small = image.resize((crop, crop), Resampling.BILINEAR, box=box)
    return np.ascontiguousarray(np.asarray(small).transpose(2, 0, 1))


class _Span:
    """What is left of a side in the end: `near` it whole pixels, as far as the kernel reaches.

    begin and end count from there.
    """

    def __init__(self, side: int, resized: int, first: int, crop: int) -> None:
        scale = side / resized
        begin, end = first * scale, min((first + crop) * scale, side)
        margin = scale + 1
        start = max(0, math.floor(begin - margin))
        self.near = slice(start, math.ceil(end + margin))
        self.begin, self.end = begin - start, end - start
