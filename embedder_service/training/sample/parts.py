"""What a garment is made of: panels of cloth, lines and buttons, in centimetres.

x runs to the wearer's left from the middle of the body, y runs down from the neck or the waist.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Cloth = Literal["print", "plain", "trim", "lining"]


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A closed piece of cloth. `grain_degrees` turns its print; `lift` is the shadow it throws."""

    outline: Points
    cloth: Cloth = "print"
    tone: float = 0.0
    grain_degrees: float = 0.0
    lift: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Line:
    """A seam (dark and thin), a stitch (dashed), a rib or a fold (soft, with a lit side)."""

    points: Points
    kind: Literal["seam", "stitch", "rib", "fold"] = "seam"
    width: float = 0.45
    depth: float = 0.3


@dataclass(frozen=True, kw_only=True)
class Button:
    """A button, or a rivet when small."""

    centre: tuple[float, float]
    radius: float = 0.85
    tone: float = 0.0


Part = Panel | Line | Button
Garment = tuple[Part, ...]


def points(*pairs: tuple[float, float]) -> Points:
    """Points as an [n, 2] array."""
    return np.array(pairs, np.float64)


def smooth(corners: Points, steps: int = 8) -> Points:
    """A Catmull-Rom curve through the corners, ends included."""
    padded = np.concatenate([corners[:1], corners, corners[-1:]])
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    pieces = [
        _catmull_rom(padded[i], padded[i + 1], padded[i + 2], padded[i + 3], t)
        for i in range(len(corners) - 1)
    ]
    return np.concatenate([*pieces, corners[-1:]])


def _catmull_rom(a: Points, b: Points, c: Points, d: Points, t: Points) -> Points:
    cubic = -a + 3 * b - 3 * c + d
    square = 2 * a - 5 * b + 4 * c - d
    return 0.5 * (2 * b + (c - a) * t + square * t**2 + cubic * t**3)


def path(*pieces: Points) -> Points:
    """Pieces one after the other."""
    return np.concatenate(pieces)


def mirrored(shape: Points) -> Points:
    """The same on the other side of the body."""
    return shape * (-1.0, 1.0)


def both_halves(right_half: Points) -> Points:
    """A closed outline from its right half, which starts and ends at the middle."""
    return np.concatenate([right_half, mirrored(right_half)[::-1]])


def on_both_sides(parts: Iterable[Part]) -> list[Part]:
    """Each part and its mirror image."""
    return [side for part in parts for side in (part, mirror(part))]


def mirror(part: Part) -> Part:
    """The same part on the other side of the body."""
    if isinstance(part, Panel):
        return replace(part, outline=mirrored(part.outline), grain_degrees=-part.grain_degrees)
    if isinstance(part, Line):
        return replace(part, points=mirrored(part.points))
    return replace(part, centre=(-part.centre[0], part.centre[1]))


def moved(parts: Sequence[Part], down: float) -> list[Part]:
    """The parts, lower by `down` centimetres."""
    shift = np.array([0.0, down])
    return [_moved(part, shift) for part in parts]


def _moved(part: Part, shift: Points) -> Part:
    if isinstance(part, Panel):
        return replace(part, outline=part.outline + shift)
    if isinstance(part, Line):
        return replace(part, points=part.points + shift)
    return replace(part, centre=(part.centre[0], part.centre[1] + float(shift[1])))


def column_of_buttons(x: float, top: float, bottom: float, count: int) -> list[Part]:
    """Buttons spread evenly from top to bottom."""
    return [Button(centre=(x, float(y))) for y in np.linspace(top, bottom, count)]


def ribs(start: Points, end: Points, reach: Points, every: float = 1.4) -> list[Part]:
    """Knitted ribs along a band, from `start` to `end`, one every so many centimetres."""
    count = max(2, int(np.linalg.norm(end - start) / every))
    spots = np.linspace(0.06, 0.94, count)
    return [
        Line(
            points=np.array([start + (end - start) * t, start + (end - start) * t + reach]),
            kind="rib",
            width=0.35,
        )
        for t in spots
    ]
