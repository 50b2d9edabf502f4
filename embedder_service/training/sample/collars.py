"""What surrounds the neck: the inside of the back, bands, collars, lapels, hoods."""

from __future__ import annotations

import numpy as np

from embedder_service.training.sample.bodice import (
    TopCut,
    neckline,
)
from embedder_service.training.sample.parts import (
    Button,
    Line,
    Panel,
    Part,
    both_halves,
    on_both_sides,
    path,
    points,
    ribs,
    smooth,
)


def behind(cut: TopCut) -> list[Part]:
    """The inside of the back, seen through the neckline, and a hood's or a roll neck's back."""
    w = cut.neck_width
    reach = min(cut.neck_depth, cut.length * 0.55) + 1
    inside = both_halves(
        smooth(points((0, -0.4), (w * 0.6, -0.6), (w + 1, 0), (w * 0.8, reach), (0, reach + 1)))
    )
    hood: list[Part] = []
    if cut.collar == "hood":
        dome = smooth(points((0, -25), (9, -23), (14, -13), (14, -3), (9, 4), (0, 6)))
        hood = [Panel(outline=both_halves(dome), tone=-0.04)]
    return [*hood, Panel(outline=inside, cloth="lining")]


def neckband(cut: TopCut) -> list[Part]:
    """A rib round the neckline, where no collar is."""
    if cut.collar not in ("none", "roll") or cut.front in ("open", "wrap"):
        return []
    inner = neckline(cut)
    width = 1.9 if cut.neck in ("crew", "v") else 0.9
    outer = inner + np.array([0.0, width])
    outer[:, 0] *= 1 + width * 0.4 / max(cut.neck_width, 1)
    band = Panel(outline=path(both_halves(inner)[: len(inner)], outer[::-1]), cloth="trim")
    parts = on_both_sides([band])
    if cut.collar == "roll":
        w = cut.neck_width
        roll = both_halves(
            smooth(
                points(
                    (0, -8.5),
                    (w * 0.7, -8.2),
                    (w * 0.96, -7),
                    (w * 0.98, -2),
                    (w + 1.2, 2.4),
                    (w * 0.5, 5.4),
                    (0, 6.2),
                )
            )
        )
        fold = smooth(points((-w * 0.98, -2.2), (0, 0.4), (w * 0.98, -2.2)))
        parts += [
            Panel(outline=roll, tone=-0.03, lift=0.5),
            Line(points=fold, kind="fold", width=1.2, depth=0.5),
        ]
        parts += ribs(
            np.array([-w * 0.85, -7.6]), np.array([w * 0.85, -7.6]), np.array([0.0, 12.0]), 2.2
        )
    return parts


def collar(cut: TopCut) -> list[Part]:
    """The collar, hood or bow, in front of everything."""
    w, d = cut.neck_width, cut.neck_depth
    if cut.collar == "shirt":
        wing = points(
            (0.1, d - 0.6),
            (w * 0.55, d * 0.3 - 2),
            (w - 0.4, -2.6),
            (w + 1.6, -0.4),
            (w * 0.95, d + 4.6),
        )
        return on_both_sides(
            [Panel(outline=wing, cloth="plain", tone=0.03, lift=0.6, grain_degrees=30)]
        )
    if cut.collar == "round":
        wing = smooth(
            points(
                (0.1, d),
                (w * 0.7, d * 0.62),
                (w - 0.3, -0.8),
                (w + 3.6, 1.4),
                (w + 2.2, d * 0.9),
                (w * 0.5, d + 4.4),
                (0.1, d),
            )
        )
        return on_both_sides([Panel(outline=wing, cloth="trim", lift=0.5)])
    if cut.collar in ("lapel", "peak", "shawl"):
        return on_both_sides(_lapel(cut))
    if cut.collar == "stand":
        band = both_halves(
            smooth(
                points(
                    (0, d - 0.5),
                    (w * 0.6, d * 0.75 - 0.5),
                    (w - 0.2, -3.6),
                    (w + 1.3, -2.6),
                    (w * 1.02, d * 0.6),
                    (w * 0.6, d + 1.6),
                    (0, d + 2.6),
                )
            )
        )
        return [Panel(outline=band, cloth="plain", lift=0.4)]
    if cut.collar == "hood":
        return _hood_front(cut)
    if cut.collar == "bow":
        loop = smooth(points((0, d), (4, d - 3), (8, d - 2.2), (8, d + 2.4), (4, d + 1.6), (0, d)))
        tail = points((0, d), (1.4, d + 0.6), (4.6, d + 14), (1.8, d + 15))
        parts = on_both_sides(
            [
                Panel(outline=tail, cloth="trim", lift=0.5),
                Panel(outline=loop, cloth="trim", lift=0.5),
            ]
        )
        return [*parts, Button(centre=(0, d), radius=1.3, tone=-0.1)]
    return []


def _lapel(cut: TopCut) -> list[Part]:
    w, d = cut.neck_width, cut.neck_depth
    if cut.collar == "shawl":
        leaf = smooth(
            points(
                (0.2, d + 1),
                (w * 0.5, d * 0.5),
                (w - 0.8, -2),
                (w + 2.4, -0.6),
                (w + 5.2, d * 0.45),
                (w * 0.7 + 2, d * 0.8),
                (0.2, d + 1),
            )
        )
        return [Panel(outline=leaf, cloth="plain", tone=0.04, lift=0.6)]
    notch = d * 0.36
    rise = -3.2 if cut.collar == "peak" else 0.8
    leaf = points(
        (0.2, d + 1),
        (w * 0.5, d * 0.5),
        (w - 0.6, 0),
        (w + 2.6, notch),
        (w + 6.4, notch + rise + 1.4),
        (w * 0.75 + 2, d * 0.78),
    )
    collar = points(
        (w - 1.2, -2.8),
        (w + 1.6, -1.4),
        (w + 5.0, notch - 1.6),
        (w + 2.4, notch + 0.6),
        (w * 0.55, d * 0.34),
    )
    return [
        Panel(outline=leaf, cloth="plain", tone=0.04, lift=0.6, grain_degrees=20),
        Panel(outline=collar, cloth="plain", tone=-0.03, lift=0.4, grain_degrees=-30),
    ]


def _hood_front(cut: TopCut) -> list[Part]:
    w, d = cut.neck_width, cut.neck_depth
    opening = both_halves(
        smooth(points((0, -19), (6, -17), (9, -9), (w, -1), (w * 0.5, d * 0.8), (0, d + 0.5)))
    )
    flap = smooth(
        points(
            (0, d + 1.5),
            (w * 0.5, d * 0.85),
            (w, -0.6),
            (w + 4.4, 0),
            (w + 1.5, d * 0.8),
            (w * 0.4, d + 3.5),
            (0, d + 4),
        )
    )
    cord = Line(points=smooth(points((3.2, d), (3.8, d + 6), (3.3, d + 13))), width=0.8, depth=-0.5)
    return [
        Panel(outline=opening, cloth="lining"),
        *on_both_sides([Panel(outline=flap, lift=0.5), cord]),
    ]
