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

from embedder_service.spec import Preprocessing
from embedder_service.training.boxes import read_photo
from embedder_service.training.data import Photo


def load_pixels(photos: Sequence[Photo], preprocessing: Preprocessing, threads: int = 2) -> Tensor:
    """The photos decoded and resized as serving does it: uint8 [n, 3, crop, crop]."""
    pixels = np.empty((len(photos), 3, preprocessing.crop, preprocessing.crop), np.uint8)

    def load(row: int) -> None:
        pixels[row] = read_photo(photos[row], preprocessing)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(load, range(len(photos))))
    return torch.from_numpy(pixels)


@dataclass(frozen=True, kw_only=True)
class Draws:
    """What becomes of each photo of a batch; small, so that every process draws all of them."""

    matrix: Tensor
    gamma: Tensor
    light: Tensor
    colour: Tensor
    has_hole: Tensor
    hole: Tensor

    def of(self, rows: Tensor, device: torch.device) -> Draws:
        """Those of some rows, on a device."""
        return Draws(**{name: drawn[rows].to(device) for name, drawn in vars(self).items()})


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
        return self.apply(pixels, side, self.draw(len(pixels), generator))

    def draw(self, count: int, generator: torch.Generator) -> Draws:
        """What becomes of each of a batch's photos, before anybody has seen one."""
        return Draws(
            matrix=self._matrices(count, generator),
            gamma=torch.exp(_either_way(count, self.gamma, generator)),
            light=torch.exp(_either_way(count, self.gain, generator)).unsqueeze(1)
            * (1 + self.cast * torch.randn(count, 3, generator=generator)),
            colour=1 + _either_way(count, self.saturation, generator),
            has_hole=torch.rand(count, generator=generator) < self.erased,
            hole=torch.rand(count, 2, generator=generator),
        )

    def apply(self, pixels: Tensor, side: int, draws: Draws) -> Tensor:
        """uint8 [n, 3, h, w] -> uint8 [n, 3, side, side], on the pixels' device."""
        shape = [len(pixels), 3, side, side]
        grid = F.affine_grid(draws.matrix, shape, align_corners=False)
        pictures = F.grid_sample(
            pixels.float() / 255, grid, padding_mode="reflection", align_corners=False
        )
        return (_with_holes(_recoloured(pictures, draws), draws) * 255).round().to(torch.uint8)

    def _matrices(self, count: int, generator: torch.Generator) -> Tensor:
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
        return torch.cat([torch.stack([upper, lower], 1), shift], 2)


def _recoloured(pictures: Tensor, draws: Draws) -> Tensor:
    gamma, colour = draws.gamma.view(-1, 1, 1, 1), draws.colour.view(-1, 1, 1, 1)
    grey = pictures.mean(1, keepdim=True)
    coloured = (grey + (pictures - grey) * colour).clamp(1e-4, 1)
    return (coloured.pow(gamma) * draws.light.view(-1, 3, 1, 1)).clamp(0, 1)


def _with_holes(pictures: Tensor, draws: Draws) -> Tensor:
    """A grey square over some pictures, so that no single detail decides."""
    side = pictures.shape[-1]
    hole = side // 4
    place = torch.arange(side, device=pictures.device)
    first = (draws.hole * (side - hole)).floor().unsqueeze(2)
    across = (place >= first) & (place < first + hole)
    is_hole = across[:, 0].unsqueeze(2) & across[:, 1].unsqueeze(1)
    return pictures.masked_fill((is_hole & draws.has_hole.view(-1, 1, 1)).unsqueeze(1), 0.5)


def _either_way(count: int, reach: float, generator: torch.Generator) -> Tensor:
    return (torch.rand(count, generator=generator) * 2 - 1) * reach
