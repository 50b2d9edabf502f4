"""What hangs from the shoulders: shirts, sweaters, jackets, coats, the upper part of a dress."""

from __future__ import annotations

import math

import numpy as np

from embedder_service.training.sample.bodice import (
    UNDERARM,
    TopCut,
    body,
    half_width,
)
from embedder_service.training.sample.collars import behind, collar, neckband
from embedder_service.training.sample.fronts import belt, front, pockets
from embedder_service.training.sample.parts import (
    Line,
    Panel,
    Part,
    both_halves,
    on_both_sides,
    points,
    ribs,
    smooth,
)
from embedder_service.training.sample.sleeves import sleeves


def top(cut: TopCut) -> list[Part]:
    """The parts of a top, from the back to the front."""
    return [
        *behind(cut),
        *sleeves(cut),
        Panel(outline=body(cut), lift=0.5),
        *_folds(cut),
        *_seams(cut),
        *_hem(cut),
        *neckband(cut),
        *front(cut),
        *collar(cut),
        *pockets(cut),
        *belt(cut),
    ]


def _folds(cut: TopCut) -> list[Part]:
    """Soft creases from the underarm and above the hem."""
    creases = [
        Line(
            points=smooth(
                points((cut.chest - 1.5, 24.5), (cut.chest - 7, 29), (cut.chest - 11, 36))
            ),
            kind="fold",
            width=2.0,
        ),
        Line(
            points=smooth(
                points(
                    (cut.waist * 0.72, cut.waist_at - 3),
                    (cut.waist * 0.66, cut.length * 0.8),
                    (cut.hem * 0.72, cut.length - 3),
                )
            ),
            kind="fold",
            width=2.2,
            depth=0.18,
        ),
    ]
    return on_both_sides(creases)


def _seams(cut: TopCut) -> list[Part]:
    if cut.seams == "yoke":
        y = 11.0
        return [
            Line(
                points=smooth(
                    points((-cut.shoulder + 1.2, y), (0, y + 1.5), (cut.shoulder - 1.2, y))
                )
            )
        ]
    if cut.seams == "princess":
        seam = smooth(
            points(
                (cut.shoulder - 2, 14),
                (cut.chest * 0.52, 24),
                (cut.waist * 0.5, cut.waist_at),
                (cut.hem * 0.55, cut.length),
            )
        )
        return on_both_sides([Line(points=seam)])
    if cut.seams == "raglan":
        seam = smooth(
            points(
                (cut.neck_width + 0.4, 1.2), (cut.shoulder * 0.7, 11), (cut.chest - 0.5, UNDERARM)
            )
        )
        return on_both_sides([Line(points=seam, width=0.55)])
    if cut.seams == "panel":
        w = half_width(cut, 30)
        return [
            Panel(outline=points((-w, 31), (w, 31), (w + 0.2, 38), (-w - 0.2, 38)), cloth="trim"),
        ]
    if cut.seams == "cable":
        return [
            rib for x in (-9.0, 0.0, 9.0) for rib in _cable(x, cut.neck_depth + 4, cut.length - 7)
        ]
    if cut.seams == "smock":
        return [
            Line(points=points((-half_width(cut, y), y), (half_width(cut, y), y)), kind="stitch")
            for y in np.arange(26, 38, 2.4)
        ]
    return []


def _cable(x: float, upper: float, lower: float) -> list[Part]:
    y = np.linspace(upper, lower, 60)
    sway = 1.7 * np.sin((y - upper) / 5.5 * math.pi)
    strands = [np.stack([x + sign * sway, y], 1) for sign in (1, -1)]
    edges = [points((x + side, upper), (x + side, lower)) for side in (-3.0, 3.0)]
    return [
        *(Line(points=strand, kind="rib", width=0.7, depth=0.4) for strand in strands),
        *(Line(points=edge, kind="rib", width=0.5) for edge in edges),
    ]


def _hem(cut: TopCut) -> list[Part]:
    h, y = cut.hem, cut.length
    parts: list[Part] = []
    if cut.hem_shape == "rib":
        band = both_halves(points((0, y - 5.5), (h + 0.6, y - 5.5), (h - 1.8, y + 1), (0, y + 1.4)))
        parts = [Panel(outline=band, cloth="trim", tone=-0.04)]
        parts += ribs(np.array([-h, y - 5.3]), np.array([h, y - 5.3]), np.array([0.0, 6.0]))
    elif cut.hem_shape in ("straight", "peplum"):
        parts = [Line(points=smooth(points((-h, y - 2), (0, y - 0.8), (h, y - 2))), kind="stitch")]
    if cut.hem_shape == "slit":
        parts = on_both_sides(
            [
                Panel(
                    outline=points((h * 0.62, y + 2), (h * 0.6, y - 22), (h * 0.76, y + 2)),
                    cloth="lining",
                )
            ]
        )
    return [*parts, *_skirt_lines(cut)]


def _skirt_lines(cut: TopCut) -> list[Part]:
    if cut.length < 75:
        return []
    parts: list[Part] = []
    start = cut.waist_at
    for level in range(1, cut.tiers + 1):
        y = start + (cut.length - start) * level / (cut.tiers + 1)
        w = half_width(cut, y)
        parts.append(Line(points=smooth(points((-w, y), (0, y + 1.2), (w, y))), width=0.7))
        parts += [
            Line(points=points((x, y + 1), (x * 1.02, y + 6)), kind="fold", width=0.9)
            for x in np.linspace(-w * 0.9, w * 0.9, 11)
        ]
    parts += [
        Line(
            points=points((x * cut.waist, start + 1), (x * cut.hem, cut.length)),
            kind="fold",
            width=1.6,
            depth=0.4,
        )
        for x in np.linspace(-0.8, 0.8, cut.pleats)
    ]
    if cut.waist_seam:
        parts.append(Line(points=points((-cut.waist, start), (cut.waist, start)), width=0.6))
    return parts
