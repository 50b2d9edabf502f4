"""Skirts."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from embedder_service.training.sample.parts import (
    Button,
    Line,
    Panel,
    Part,
    Points,
    both_halves,
    column_of_buttons,
    on_both_sides,
    path,
    points,
    smooth,
)
from embedder_service.training.sample.waists import hip_pockets, waistband


@dataclass(frozen=True, kw_only=True)
class SkirtCut:
    """The cut of a skirt, in centimetres: half widths, and heights from the waist down."""

    length: float = 60.0
    waist: float = 18.0
    hip: float = 24.0
    hem: float = 30.0
    band: float = 3.5
    hem_shape: str = "straight"
    pleats: int = 0
    tiers: int = 0
    front: str = "none"
    pockets: str = "none"
    belt: str = "none"


def skirt(cut: SkirtCut) -> list[Part]:
    """The parts of a skirt."""
    return [
        Panel(outline=_outline(cut), lift=0.3),
        *_surface(cut),
        *_front(cut),
        *hip_pockets(cut.pockets, cut.waist, cut.hip, cut.band),
        *waistband(cut.waist, cut.band, cut.belt),
    ]


def _outline(cut: SkirtCut) -> Points:
    hip_at = min(20.0, cut.length * 0.45)
    side = smooth(
        points(
            (cut.waist, 0),
            (cut.hip, hip_at),
            ((cut.hip + cut.hem) / 2, (hip_at + cut.length) / 2),
            (cut.hem, cut.length),
        )
    )
    return both_halves(path(points((0, 0)), side, _hem(cut)))


def _hem(cut: SkirtCut) -> Points:
    h, y = cut.hem, cut.length
    x = np.linspace(h, 0, 49)
    if cut.hem_shape == "wave":
        return np.stack([x, y + 1.8 * np.cos(x / h * math.pi * 6) + 2 * (1 - (x / h) ** 2)], 1)
    if cut.hem_shape == "high":
        return np.stack([x, y - 6 * np.cos(x / h * math.pi / 2)], 1)
    if cut.hem_shape == "point":
        return np.stack([x, y + 5.5 * (1 - x / h)], 1)
    return np.stack([x, y + 2.2 * (1 - (x / h) ** 2)], 1)


def _surface(cut: SkirtCut) -> list[Part]:
    parts: list[Part] = [
        Line(
            points=points((x * cut.waist, cut.band), (x * cut.hem, cut.length + 1)),
            kind="fold",
            width=1.5,
            depth=0.5,
        )
        for x in np.linspace(-0.86, 0.86, cut.pleats)
    ]
    if cut.pleats == 0:
        parts += on_both_sides(
            [
                Line(
                    points=points(
                        (cut.waist * 0.5, cut.band + 2), (cut.hem * 0.55, cut.length - 2)
                    ),
                    kind="fold",
                    width=2.0,
                    depth=0.22,
                )
            ]
        )
    for level in range(1, cut.tiers + 1):
        y = cut.length * level / (cut.tiers + 1)
        w = float(np.interp(y, (0, 20, cut.length), (cut.waist, cut.hip, cut.hem)))
        parts.append(Line(points=smooth(points((-w, y), (0, y + 1.6), (w, y))), width=0.8))
        parts += [
            Line(points=points((x, y + 1.4), (x * 1.02, y + 6.5)), kind="fold", width=0.9)
            for x in np.linspace(-w * 0.9, w * 0.9, 13)
        ]
    return parts


def _front(cut: SkirtCut) -> list[Part]:
    y = cut.length + 2
    if cut.front == "buttons":
        band = points((-2, cut.band), (2, cut.band), (2, y), (-2, y))
        return [
            Panel(outline=band, lift=0.2),
            *column_of_buttons(0, cut.band + 3, y - 5, max(3, int(cut.length / 9))),
        ]
    if cut.front == "wrap":
        edge = smooth(
            points((-cut.waist * 0.5, cut.band), (cut.hem * 0.1, y * 0.5), (cut.hem * 0.62, y))
        )
        return [
            Line(points=edge, width=0.9, depth=0.5),
            Button(centre=(-cut.waist * 0.5 + 3, cut.band + 3), radius=1.2),
        ]
    if cut.front == "slit":
        x = cut.hem * 0.42
        slit = points((x, cut.length * 0.55), (x + 2.6, y), (x - 0.6, y))
        return [Panel(outline=slit, cloth="lining")]
    if cut.front == "seam":
        return [Line(points=points((0, cut.band), (0, y)), width=0.6), *_stitch_pair(cut.band, y)]
    return []


def _stitch_pair(upper: float, lower: float) -> list[Part]:
    return on_both_sides([Line(points=points((0.9, upper), (0.9, lower)), kind="stitch")])
