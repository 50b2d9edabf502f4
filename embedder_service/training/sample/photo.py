"""A photograph of a garment: its pose, the background, the shadow and the light."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from embedder_service.training.sample.garment import CUTOUT

Floats = NDArray[np.floating[Any]]
Box = tuple[int, int, int, int]

_CELLS = 5  # the mesh that bends the cloth has this many cells a side
_WALLS = (
    (226, 221, 212),
    (214, 219, 222),
    (232, 224, 216),
    (205, 211, 203),
    (222, 208, 203),
    (198, 205, 214),
    (240, 238, 234),
    (188, 186, 184),
    (216, 203, 181),
    (176, 190, 188),
    (203, 190, 203),
    (150, 152, 158),
)
_FLOORS = ((178, 148, 116), (196, 178, 154), (160, 158, 156), (205, 198, 188), (128, 108, 92))


@dataclass(frozen=True)
class Pose:
    """Where and how the garment lies: a square of `size` sides of the photo around `centre`."""

    size: float
    centre: tuple[float, float]
    degrees: float
    shear: float
    narrow: float
    mirrored: bool
    bend: NDArray[np.float64]


def photograph(
    garment: Image.Image, side: int, rng: np.random.Generator
) -> tuple[Image.Image, Box]:
    """A square photo of a cutout, and the garment's box in it as x1, y1, x2, y2."""
    layer = np.asarray(_posed(garment, _pose(rng), side), np.float32)
    alpha = layer[..., 3:] / 255
    behind = _background(side, rng) * (1 - _shadow(layer[..., 3], side, rng))
    scene = behind + (layer[..., :3] - behind) * alpha
    lit = np.clip(_lit(scene, side, rng), 0, 255).astype(np.uint8)
    return Image.fromarray(lit), _box(alpha[..., 0])


def _pose(rng: np.random.Generator) -> Pose:
    return Pose(
        size=float(rng.uniform(0.72, 1.0)),
        centre=(float(rng.normal(0.5, 0.035)), float(rng.normal(0.5, 0.03))),
        degrees=float(np.clip(rng.normal(0, 8), -22, 22)),
        shear=float(rng.normal(0, 0.05)),
        narrow=float(rng.uniform(0.88, 1.06)),
        mirrored=bool(rng.random() < 0.4),
        bend=rng.normal(0, 0.012, (2, _CELLS + 1, _CELLS + 1)),
    )


def _posed(garment: Image.Image, pose: Pose, side: int) -> Image.Image:
    """The cutout bent, turned and scaled onto the photo; transparent around it."""
    fine = 2 * side
    corners = np.linspace(0, fine, _CELLS + 1)
    x, y = np.meshgrid(corners / fine - pose.centre[0], corners / fine - pose.centre[1])
    turn = math.radians(pose.degrees)
    u = (x * math.cos(turn) + y * math.sin(turn)) / pose.size
    v = (y * math.cos(turn) - x * math.sin(turn)) / pose.size
    u = (u + pose.shear * v) / pose.narrow * (-1 if pose.mirrored else 1)
    source_x = (u + pose.bend[0] + 0.5) * CUTOUT
    source_y = (v + pose.bend[1] + 0.5) * CUTOUT
    mesh = _mesh(corners.astype(int), source_x, source_y)
    bent = garment.transform((fine, fine), Image.Transform.MESH, mesh, Image.Resampling.BILINEAR)
    return bent.reduce(2)


def _mesh(
    corners: NDArray[np.int64], x: NDArray[np.float64], y: NDArray[np.float64]
) -> list[tuple[Box, tuple[float, ...]]]:
    """Pillow's form: a target box and its source corners, anticlockwise from the upper left."""
    return [
        (
            (int(corners[c]), int(corners[r]), int(corners[c + 1]), int(corners[r + 1])),
            tuple(
                float(grid[i, j])
                for i, j in ((r, c), (r + 1, c), (r + 1, c + 1), (r, c + 1))
                for grid in (x, y)
            ),
        )
        for r in range(_CELLS)
        for c in range(_CELLS)
    ]


def _box(alpha: Floats) -> Box:
    rows, columns = np.flatnonzero(alpha.max(1) > 0.5), np.flatnonzero(alpha.max(0) > 0.5)
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _shadow(alpha: Floats, side: int, rng: np.random.Generator) -> Floats:
    """The garment's shadow on what is behind it, one blur away."""
    blur = side * rng.uniform(0.015, 0.04)
    right, down = (rng.uniform(-0.03, 0.03) * side, rng.uniform(0.008, 0.035) * side)
    shape = Image.fromarray(alpha.astype(np.uint8)).filter(ImageFilter.GaussianBlur(blur))
    fallen = shape.transform(shape.size, Image.Transform.AFFINE, (1, 0, -right, 0, 1, -down))
    return (
        np.asarray(fallen, np.float32)[..., None]
        / np.float32(255)
        * np.float32(rng.uniform(0.25, 0.5))
    )


def _background(side: int, rng: np.random.Generator) -> Floats:
    wall = np.array(_WALLS[rng.integers(len(_WALLS))], np.float32)
    kind = rng.choice(("plain", "gradient", "floor", "planks", "paper", "linen", "spots"))
    if kind == "gradient":
        return _gradient(wall, side, rng)
    if kind == "floor":
        return _floor(wall, side, rng)
    if kind == "planks":
        return _planks(side, rng)
    if kind == "paper":
        return _striped_paper(wall, side, rng)
    if kind == "linen":
        return _linen(wall, side, rng)
    if kind == "spots":
        return _spotted_paper(wall, side, rng)
    return np.broadcast_to(wall, (side, side, 3)).copy()


def _gradient(wall: Floats, side: int, rng: np.random.Generator) -> Floats:
    y, x = np.mgrid[:side, :side].astype(np.float32) / side - np.float32(0.5)
    distance = np.hypot(x - rng.uniform(-0.3, 0.3), y - rng.uniform(-0.3, 0.2))
    return np.asarray(wall * (1.08 - 0.38 * distance[..., None]), np.float32)


def _floor(wall: Floats, side: int, rng: np.random.Generator) -> Floats:
    horizon = int(side * rng.uniform(0.66, 0.86))
    room = np.broadcast_to(wall, (side, side, 3)).copy()
    floor = np.array(_FLOORS[rng.integers(len(_FLOORS))], np.float32)
    depth = np.linspace(0.82, 1.08, side - horizon, dtype=np.float32)
    room[horizon:] = floor * depth[:, None, None]
    room[horizon - max(2, side // 60) : horizon] *= 0.88
    return room


def _planks(side: int, rng: np.random.Generator) -> Floats:
    """Boards seen from above."""
    wood = np.array(_FLOORS[rng.integers(len(_FLOORS))], np.float32)
    width = max(6, int(side * rng.uniform(0.12, 0.2)))
    board = np.arange(side) // width
    tones = rng.uniform(0.92, 1.06, board[-1] + 1).astype(np.float32)[board]
    tones[np.arange(side) % width == 0] *= 0.72
    grain = rng.normal(1, 0.018, (side, 1)).astype(np.float32)
    fine = tones[:, None, None] * grain[..., None] * np.ones((1, side, 1), np.float32)
    upright = rng.random() < 0.5
    return np.asarray(wood * (fine if upright else fine.transpose(1, 0, 2)), np.float32)


def _striped_paper(wall: Floats, side: int, rng: np.random.Generator) -> Floats:
    width = max(3, int(side * rng.uniform(0.04, 0.1)))
    stripe = (np.arange(side) // width % 2).astype(np.float32)
    return (
        wall
        * (1 - np.float32(rng.uniform(0.04, 0.11)) * stripe[None, :, None])
        * np.ones((side, 1, 1), np.float32)
    )


def _linen(wall: Floats, side: int, rng: np.random.Generator) -> Floats:
    across = rng.normal(1, 0.022, (side, 1, 1)).astype(np.float32)
    upright = rng.normal(1, 0.022, (1, side, 1)).astype(np.float32)
    return wall * across * upright


def _spotted_paper(wall: Floats, side: int, rng: np.random.Generator) -> Floats:
    """Wallpaper with a small motif on a brick grid."""
    paper = Image.new("L", (2 * side, 2 * side))
    draw = ImageDraw.Draw(paper)
    step = max(10, int(side * rng.uniform(0.16, 0.28)))
    radius, diamond = step * rng.uniform(0.12, 0.2), rng.random() < 0.5
    for row, y in enumerate(range(0, 2 * side + step, step)):
        for x in range(step // 2 * (row % 2), 2 * side + step, step):
            if diamond:
                draw.polygon(
                    [(x - radius, y), (x, y - radius), (x + radius, y), (x, y + radius)], 255
                )
            else:
                draw.ellipse((x - radius, y - radius, x + radius, y + radius), 255)
    spots = np.asarray(paper.reduce(2), np.float32)[..., None] / 255
    return np.asarray(wall * (1 - rng.choice((-0.06, 0.08, 0.13)) * spots), np.float32)


def _lit(scene: Floats, side: int, rng: np.random.Generator) -> Floats:
    """Exposure, contrast, the lamp's colour, light that falls off, now and then a window's."""
    gain = rng.uniform(0.78, 1.1)
    warmth, tint = rng.normal(0, 0.05), rng.normal(0, 0.02)
    cast = np.array([1 + warmth, 1 + tint, 1 - warmth], np.float32)
    curve = (np.arange(256) / 255) ** rng.uniform(0.86, 1.2) * 255
    y, x = np.mgrid[:side, :side].astype(np.float32) / side - np.float32(0.5)
    angle = rng.uniform(0, 2 * math.pi)
    ramp = (x * math.cos(angle) + y * math.sin(angle)) * rng.uniform(0.05, 0.3)
    light = (1 + ramp - 0.25 * rng.random() * (x * x + y * y)) * gain
    if rng.random() < 0.2:
        light += _window_light(side, rng)
    toned = curve.astype(np.float32)[np.clip(scene, 0, 255).astype(np.uint8)]
    grain = rng.normal(0, 1.6, (side, side, 1)).astype(np.float32)
    return toned * cast * np.asarray(light[..., None], np.float32) + grain


def _window_light(side: int, rng: np.random.Generator) -> Floats:
    """A slanting patch of sun with soft edges."""
    patch = Image.new("L", (side, side))
    left, width, slant = rng.uniform(-0.1, 0.7), rng.uniform(0.2, 0.4), rng.uniform(-0.5, 0.5)
    shape = [(left, 0), (left + width, 0), (left + width + slant, 1), (left + slant, 1)]
    ImageDraw.Draw(patch).polygon([(x * side, y * side) for x, y in shape], 255)
    soft = patch.filter(ImageFilter.GaussianBlur(side * 0.02))
    return np.asarray(soft, np.float32) / np.float32(255) * np.float32(rng.uniform(0.1, 0.22))
