"""The outline of what hangs from the shoulders, and all that decides it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from embedder_service.training.sample.parts import (
    Points,
    both_halves,
    path,
    points,
    smooth,
)

UNDERARM = 23.0


@dataclass(frozen=True, kw_only=True)
class TopCut:
    """The cut of a top, in centimetres: half widths, and heights from the neck down."""

    length: float = 64.0
    chest: float = 26.0
    waist: float = 24.5
    waist_at: float = 41.0
    hem: float = 26.0
    shoulder: float = 20.5
    neck: str = "crew"
    neck_width: float = 8.5
    neck_depth: float = 7.0
    sleeve: float = 20.0
    cuff: float = 12.0
    sleeve_shape: str = "straight"
    sleeve_degrees: float = 26.0
    collar: str = "none"
    front: str = "none"
    buttons: int = 6
    pockets: str = "none"
    hem_shape: str = "straight"
    seams: str = "none"
    belt: str = "none"
    waist_seam: bool = False
    pleats: int = 0
    tiers: int = 0


def half_width(cut: TopCut, y: float) -> float:
    """Half the body's width at a height."""
    heights = (UNDERARM, cut.waist_at, cut.length)
    return float(np.interp(y, heights, (cut.chest, cut.waist, cut.hem)))


def shoulder_drop(cut: TopCut) -> float:
    """How far the shoulder's end lies below the neck; a strap hardly falls."""
    return 0.38 * (cut.shoulder - cut.neck_width)


def body(cut: TopCut) -> Points:
    """The front's closed outline."""
    return both_halves(path(neckline(cut), _armhole(cut), _side(cut), _bottom(cut)))


def neckline(cut: TopCut) -> Points:
    """The right half of the neckline, from the middle up to the shoulder."""
    w, d = cut.neck_width, cut.neck_depth
    if cut.neck == "v":
        return smooth(points((0, d), (w * 0.5, d * 0.48), (w, 0)))
    if cut.neck == "square":
        return points((0, d), (w * 0.9, d), (w, 0))
    if cut.neck == "sweetheart":
        return smooth(points((0, d), (w * 0.5, d - 3.2), (w * 0.92, d - 2.2), (w, 0)))
    if cut.neck == "boat":
        return smooth(points((0, 3.2), (w * 0.6, 2.6), (w, 0)))
    return smooth(points((0, d), (w * 0.55, d * 0.84), (w * 0.92, d * 0.36), (w, 0)))


def _armhole(cut: TopCut) -> Points:
    s, reach = cut.shoulder, cut.chest - cut.shoulder
    return smooth(
        points(
            (s, shoulder_drop(cut)),
            (s - 1.4, 10),
            (s - 0.6 + reach * 0.3, 18.5),
            (cut.chest, UNDERARM),
        )
    )


def _side(cut: TopCut) -> Points:
    """From the underarm to the corner of the hem."""
    corner = _corner(cut)
    waist_at = min(cut.waist_at, cut.length - 6)
    below = (waist_at + corner[1]) / 2
    hip = (cut.waist + (corner[0] - cut.waist) * 0.55, below)
    return smooth(points((cut.chest, UNDERARM), (cut.waist, waist_at), hip, corner))


def _corner(cut: TopCut) -> tuple[float, float]:
    if cut.hem_shape == "tail":
        return cut.hem, cut.length - 6
    if cut.hem_shape == "peplum":
        return cut.hem + 3, cut.length
    return cut.hem, cut.length


def _bottom(cut: TopCut) -> Points:
    h, y = cut.hem, cut.length
    if cut.hem_shape == "tail":
        return smooth(points((h, y - 6), (h * 0.75, y - 2), (h * 0.4, y + 3), (0, y + 3.5)))
    if cut.hem_shape == "scallop":
        edge = np.linspace(h, 0, 41)
        return np.stack([edge, y + 1.6 * np.abs(np.sin(edge / h * math.pi * 4))], 1)
    if cut.hem_shape == "peplum":
        return smooth(points((h + 3, y), (h * 0.6, y + 2.5), (0, y + 3)))
    return smooth(points((h, y), (h * 0.5, y + 1.0), (0, y + 1.2)))
