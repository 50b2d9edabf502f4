"""How a top closes, its pockets and its belt."""

from __future__ import annotations

import numpy as np

from embedder_service.training.sample.bodice import (
    TopCut,
    half_width,
    neckline,
)
from embedder_service.training.sample.parts import (
    Button,
    Line,
    Panel,
    Part,
    both_halves,
    column_of_buttons,
    on_both_sides,
    path,
    points,
    smooth,
)


def front(cut: TopCut) -> list[Part]:
    """Buttons, zips, the edge of a wrap, the gap of a cardigan."""
    start, end = cut.neck_depth, cut.length
    if cut.front == "buttons":
        band = points((-1.7, start - 0.6), (1.7, start - 0.6), (1.7, end + 1), (-1.7, end + 1))
        return [
            Panel(outline=band, lift=0.15),
            *column_of_buttons(0, start + 3, end - 6, cut.buttons),
        ]
    if cut.front == "half":
        band = points(
            (-1.8, start - 0.5), (1.8, start - 0.5), (1.8, start + 15), (-1.8, start + 15)
        )
        return [
            Panel(outline=band, cloth="plain", lift=0.2),
            *column_of_buttons(0, start + 3, start + 12, 3),
        ]
    if cut.front == "zip":
        teeth = points((0, start - 1), (0, end + 0.5))
        return [
            Line(points=teeth, width=1.3, depth=0.55),
            Line(points=teeth, kind="stitch", width=0.5),
            Button(centre=(0, start + 2.5), radius=0.9, tone=0.5),
        ]
    if cut.front == "double":
        edge = points((-6.5, start - 4), (-6.5, end + 1))
        columns = [
            *column_of_buttons(-3.6, start + 4, end - 14, cut.buttons),
            *column_of_buttons(6.0, start + 4, end - 14, cut.buttons),
        ]
        return [Line(points=edge, width=0.7, depth=0.4), *columns]
    if cut.front == "wrap":
        w = half_width(cut, cut.waist_at)
        edge = smooth(points((-cut.neck_width, 0), (-2, cut.neck_depth), (w * 0.8, cut.waist_at)))
        return [
            Line(points=edge, width=0.8, depth=0.45),
            Line(points=edge + np.array([1.0, -0.6]), kind="stitch"),
        ]
    if cut.front == "open":
        return _open_front(cut)
    return []


def _open_front(cut: TopCut) -> list[Part]:
    """A cardigan: the inside shows in a gap that widens downwards, with a band on each side."""
    d, end = cut.neck_depth, cut.length + 1.0
    gap = 1.0 + 0.05 * (30 - cut.buttons * 3)
    inside = points((0, d - 4), (gap * 0.4, d), (gap + 1.2, end + 0.4), (0, end + 0.6))
    inner = path(neckline(cut)[::-1], points((gap * 0.4, d + 1), (gap + 1.4, end)))
    inner[:, 0] = np.maximum(inner[:, 0], 0.2)
    band = path(inner, (inner + np.array([3.0, 0.4]))[::-1])
    band[-len(neckline(cut)) :, 1] += 0.6
    parts: list[Part] = [Panel(outline=both_halves(inside), cloth="lining")]
    parts += on_both_sides([Panel(outline=band, cloth="trim", lift=0.25)])
    if cut.buttons:
        parts += column_of_buttons(gap * 0.6 + 1.9, d + 3, end - 6, cut.buttons)
    return parts


def pockets(cut: TopCut) -> list[Part]:
    """Pockets on the chest or the hips."""
    chest_x, chest_y = cut.chest * 0.46, 24.0
    if cut.pockets == "chest":
        return _patch(chest_x, chest_y, 5.0, 11, flap=False)
    if cut.pockets == "chest flaps":
        return on_both_sides(_patch(chest_x, chest_y, 5.4, 12, flap=True))
    low = min(cut.length - 21, max(cut.waist_at + 3, 44))
    if cut.pockets == "patch":
        return on_both_sides(_patch(cut.hem * 0.55, low, 6.6, 14, flap=False))
    if cut.pockets == "flaps":
        return on_both_sides(_patch(cut.hem * 0.55, low, 7.0, 15, flap=True))
    if cut.pockets == "slant":
        x = cut.hem * 0.5
        welt = points((x, low), (x + 2.6, low - 0.9), (x + 6.2, low + 12), (x + 3.6, low + 13))
        return on_both_sides([Panel(outline=welt, cloth="plain", lift=0.4)])
    if cut.pockets == "kangaroo":
        w, y = cut.hem * 0.62, cut.length - 24
        return [
            Panel(
                outline=points(
                    (-w * 0.55, y),
                    (w * 0.55, y),
                    (w, y + 10),
                    (w, y + 18),
                    (-w, y + 18),
                    (-w, y + 10),
                ),
                lift=0.5,
            )
        ]
    return []


def _patch(x: float, y: float, half: float, height: float, flap: bool) -> list[Part]:
    bag = points(
        (x - half, y),
        (x + half, y),
        (x + half, y + height - 1.6),
        (x, y + height),
        (x - half, y + height - 1.6),
    )
    parts: list[Part] = [Panel(outline=bag, lift=0.45)]
    if not flap:
        return [*parts, Line(points=points((x - half, y + 2), (x + half, y + 2)), kind="stitch")]
    lid = points(
        (x - half - 0.4, y - 0.6),
        (x + half + 0.4, y - 0.6),
        (x + half + 0.4, y + 3.2),
        (x, y + 4.8),
        (x - half - 0.4, y + 3.2),
    )
    return [
        *parts,
        Panel(outline=lid, cloth="plain", lift=0.5),
        Button(centre=(x, y + 3.2), radius=0.7),
    ]


def belt(cut: TopCut) -> list[Part]:
    """A belt, a sash or an elastic waist."""
    y, w = cut.waist_at, cut.waist + 0.5
    if cut.belt == "belt":
        band = points((-w, y - 2), (w, y - 2), (w, y + 2), (-w, y + 2))
        buckle = points((-2.6, y - 2.6), (2.6, y - 2.6), (2.6, y + 2.6), (-2.6, y + 2.6))
        return [
            Panel(outline=band, cloth="trim", tone=-0.08, lift=0.5),
            Line(points=path(buckle, buckle[:1]), width=0.8, depth=-0.5),
        ]
    if cut.belt == "sash":
        band = points((-w, y - 2.6), (w, y - 2.6), (w, y + 2.6), (-w, y + 2.6))
        tails = [
            smooth(
                points(
                    (3, y),
                    (5 + s, y + 8),
                    (4 + 2 * s, y + 24),
                    (1.4 + 2 * s, y + 24),
                    (1 + s, y + 9),
                    (3, y),
                )
            )
            for s in (0.0, 4.0)
        ]
        knot = smooth(
            points((0, y), (2.6, y - 3), (6.4, y - 1), (5.8, y + 2.6), (2.2, y + 2.6), (0, y))
        )
        return [
            Panel(outline=band, cloth="trim", lift=0.5),
            *(Panel(outline=tail, cloth="trim", tone=-0.04, lift=0.5) for tail in tails),
            Panel(outline=knot, cloth="trim", tone=0.05, lift=0.5),
        ]
    if cut.belt == "elastic":
        return [
            Line(points=points((x, y - 2), (x, y + 2)), kind="rib", width=0.5)
            for x in np.arange(-w + 1, w, 1.5)
        ]
    return []
