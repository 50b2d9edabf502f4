"""What hangs from the shoulders: shirts, sweaters, jackets, coats, the upper part of a dress."""

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
    sleeve_width: float = 15.0
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


def top(cut: TopCut) -> list[Part]:
    """The parts of a top, from the back to the front."""
    return [
        *_behind(cut),
        *_sleeves(cut),
        Panel(outline=body(cut), lift=0.5),
        *_folds(cut),
        *_seams(cut),
        *_hem(cut),
        *_neckband(cut),
        *_front(cut),
        *_collar(cut),
        *_pockets(cut),
        *_belt(cut),
    ]


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


def _behind(cut: TopCut) -> list[Part]:
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


def _sleeves(cut: TopCut) -> list[Part]:
    if cut.sleeve <= 0:
        return []
    angle = math.radians(cut.sleeve_degrees)
    along = np.array([math.sin(angle), math.cos(angle)])
    across = np.array([math.cos(angle), -math.sin(angle)])
    shoulder = np.array([cut.shoulder, shoulder_drop(cut)])
    outer_end = shoulder + along * cut.sleeve + across * 1.5
    inner_end = outer_end - across * cut.cuff
    underarm = np.array([cut.chest - 0.5, UNDERARM])
    bulge = {"straight": 0.8, "bell": -0.5, "puff": 4.5}[cut.sleeve_shape]
    outer = smooth(
        np.array(
            [
                shoulder - (2.5, 0.8),
                shoulder + along * cut.sleeve * 0.12 + across * (1.2 + max(bulge, 0) * 0.5),
                shoulder + along * cut.sleeve * 0.6 + across * (1.6 + bulge),
                outer_end,
            ]
        )
    )
    middle = underarm + (inner_end - underarm) * 0.5 - across * max(bulge, 0) * 0.5
    inner = (
        smooth(np.array([inner_end, middle, underarm]))
        if cut.sleeve > 15
        else np.array([inner_end, underarm])
    )
    sleeve = path(outer, inner, np.array([[cut.chest - 8, 20.0], [cut.shoulder - 7, 8.0]]))
    elbow = shoulder + along * cut.sleeve * 0.5
    creases = [
        Line(
            points=np.array([elbow - across * 9 + along * k, elbow - across * 2 + along * (k + 3)]),
            kind="fold",
            width=1.5,
        )
        for k in (-4.0, 2.0)
    ]
    cuff = _cuff(cut, outer_end, inner_end, along)
    panel = Panel(outline=sleeve, grain_degrees=-cut.sleeve_degrees)
    return on_both_sides([panel, *(creases if cut.sleeve > 38 else []), *cuff])


def _cuff(cut: TopCut, outer: Points, inner: Points, along: Points) -> list[Part]:
    if cut.sleeve_shape == "bell" or cut.sleeve < 12:
        return [Line(points=np.array([outer - along, inner - along]), kind="stitch")]
    if cut.hem_shape == "rib" or cut.sleeve_shape == "puff":
        depth, cloth = 4.5, "trim" if cut.hem_shape == "rib" else "print"
        squeeze = (outer - inner) * 0.09
        outline = np.array(
            [
                outer - along * 0.5,
                outer + along * depth - squeeze,
                inner + along * depth + squeeze,
                inner - along * 0.5,
            ]
        )
        ribs = _ribs(outline[0], outline[3], along * depth)
        return [
            Panel(outline=outline, cloth="trim" if cloth == "trim" else "print", tone=-0.05),
            *ribs,
        ]
    depth = 5.0 if cut.collar in ("shirt", "lapel") and cut.sleeve > 40 else 2.2
    return [Line(points=np.array([outer - along * depth, inner - along * depth]), kind="seam")]


def _ribs(start: Points, end: Points, reach: Points, every: float = 1.4) -> list[Part]:
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
        parts += _ribs(np.array([-h, y - 5.3]), np.array([h, y - 5.3]), np.array([0.0, 6.0]))
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


def _neckband(cut: TopCut) -> list[Part]:
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
        parts += _ribs(
            np.array([-w * 0.85, -7.6]), np.array([w * 0.85, -7.6]), np.array([0.0, 12.0]), 2.2
        )
    return parts


def _front(cut: TopCut) -> list[Part]:
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


def _collar(cut: TopCut) -> list[Part]:
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


def _pockets(cut: TopCut) -> list[Part]:
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


def _belt(cut: TopCut) -> list[Part]:
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
