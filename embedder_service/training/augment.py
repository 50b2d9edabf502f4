"""Photos as tensors: decoded once, then turned, cropped and recoloured a batch at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor

from embedder_service import images
from embedder_service.spec import Preprocessing
from embedder_service.training.data import Photo


def load_pixels(photos: Sequence[Photo], preprocessing: Preprocessing, threads: int = 2) -> Tensor:
    """The photos decoded and resized as serving does it: uint8 [n, 3, crop, crop]."""
    pixels = np.empty((len(photos), 3, preprocessing.crop, preprocessing.crop), np.uint8)

    def load(row: int) -> None:
        (pixels[row],) = images.read(photos[row].path.read_bytes(), preprocessing)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(load, range(len(photos))))
    return torch.from_numpy(pixels)


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """How far a training photo may differ from the stored one.

    `shift` is in half sides; the colours are standard deviations, or factors either way.
    """

    degrees: float = 14.0
    zoom: tuple[float, float] = (0.72, 1.12)
    stretch: float = 0.10
    shear: float = 0.10
    shift: float = 0.12
    mirrored: float = 0.5
    gain: float = 0.22
    cast: float = 0.07
    gamma: float = 0.22
    saturation: float = 0.35
    erased: float = 0.25

    def __call__(self, pixels: Tensor, side: int, generator: torch.Generator) -> Tensor:
        """uint8 [n, 3, h, w] -> uint8 [n, 3, side, side]; the same generator, the same pictures."""
        moved = self._moved(pixels.float() / 255, side, generator)
        return (self._recoloured(moved, generator) * 255).round().to(torch.uint8)

    def _moved(self, pictures: Tensor, side: int, generator: torch.Generator) -> Tensor:
        count = len(pictures)
        turn = _either_way(count, self.degrees, generator) * math.pi / 180
        low, high = self.zoom
        span = low + (high - low) * torch.rand(count, generator=generator)
        across = span * (1 + _either_way(count, self.stretch, generator))
        flip = torch.where(torch.rand(count, generator=generator) < self.mirrored, -1.0, 1.0)
        shear = _either_way(count, self.shear, generator)
        cosine, sine = turn.cos(), turn.sin()
        upper = torch.stack([flip * across * cosine, span * (shear - sine)], 1)
        lower = torch.stack([flip * across * sine, span * cosine], 1)
        shift = _either_way(2 * count, self.shift, generator).view(count, 2, 1)
        matrix = torch.cat([torch.stack([upper, lower], 1), shift], 2)
        grid = F.affine_grid(matrix, [count, 3, side, side], align_corners=False)
        return F.grid_sample(pictures, grid, padding_mode="reflection", align_corners=False)

    def _recoloured(self, pictures: Tensor, generator: torch.Generator) -> Tensor:
        count = len(pictures)
        gamma = torch.exp(_either_way(count, self.gamma, generator)).view(-1, 1, 1, 1)
        gain = torch.exp(_either_way(count, self.gain, generator)).view(-1, 1, 1, 1)
        cast = 1 + self.cast * torch.randn(count, 3, 1, 1, generator=generator)
        colour = 1 + _either_way(count, self.saturation, generator).view(-1, 1, 1, 1)
        grey = pictures.mean(1, keepdim=True)
        coloured = (grey + (pictures - grey) * colour).clamp(1e-4, 1)
        lit = (coloured.pow(gamma) * gain * cast).clamp(0, 1)
        return self._with_holes(lit, generator)

    def _with_holes(self, pictures: Tensor, generator: torch.Generator) -> Tensor:
        """A grey square over some pictures, so that no single detail decides."""
        side = pictures.shape[-1]
        hole = side // 4
        for row in torch.nonzero(torch.rand(len(pictures), generator=generator) < self.erased):
            top, left = torch.randint(0, side - hole, (2,), generator=generator).tolist()
            pictures[row, :, top : top + hole, left : left + hole] = 0.5
        return pictures


def _either_way(count: int, reach: float, generator: torch.Generator) -> Tensor:
    return (torch.rand(count, generator=generator) * 2 - 1) * reach
