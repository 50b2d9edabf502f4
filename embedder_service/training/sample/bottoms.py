"""What hangs from the waist: skirts, trousers, jeans, shorts, and the lower part of a jumpsuit."""

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


@dataclass(frozen=True, kw_only=True)
class LegsCut:
    """The cut of trousers or shorts; `hip`, `knee` and `hem` are a leg's widths there."""

    length: float = 100.0
    waist: float = 19.0
    hip: float = 23.8
    rise: float = 27.0
    knee: float = 20.0
    hem: float = 18.0
    band: float = 4.0
    closure: str = "fly"
    pockets: str = "slant"
    crease: bool = False
    turn_up: float = 0.0
    cargo: bool = False
    belt: str = "none"
    stitched: bool = False
    knee_seam: bool = False


def skirt(cut: SkirtCut) -> list[Part]:
    """The parts of a skirt."""
    return [
        Panel(outline=_skirt_outline(cut), lift=0.3),
        *_skirt_surface(cut),
        *_skirt_front(cut),
        *_hip_pockets(cut.pockets, cut.waist, cut.hip, cut.band),
        *_waistband(cut.waist, cut.band, cut.belt),
    ]


def _skirt_outline(cut: SkirtCut) -> Points:
    hip_at = min(20.0, cut.length * 0.45)
    side = smooth(
        points(
            (cut.waist, 0),
            (cut.hip, hip_at),
            ((cut.hip + cut.hem) / 2, (hip_at + cut.length) / 2),
            (cut.hem, cut.length),
        )
    )
    return both_halves(path(points((0, 0)), side, _skirt_hem(cut)))


def _skirt_hem(cut: SkirtCut) -> Points:
    h, y = cut.hem, cut.length
    x = np.linspace(h, 0, 49)
    if cut.hem_shape == "wave":
        return np.stack([x, y + 1.8 * np.cos(x / h * math.pi * 6) + 2 * (1 - (x / h) ** 2)], 1)
    if cut.hem_shape == "high":
        return np.stack([x, y - 6 * np.cos(x / h * math.pi / 2)], 1)
    if cut.hem_shape == "point":
        return np.stack([x, y + 5.5 * (1 - x / h)], 1)
    return np.stack([x, y + 2.2 * (1 - (x / h) ** 2)], 1)


def _skirt_surface(cut: SkirtCut) -> list[Part]:
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


def _skirt_front(cut: SkirtCut) -> list[Part]:
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


def legs(cut: LegsCut) -> list[Part]:
    """The parts of trousers or shorts."""
    return [
        *on_both_sides(_leg(cut)),
        *_closure(cut),
        *_hip_pockets(cut.pockets, cut.waist, cut.hip, cut.band),
        *_waistband(cut.waist, cut.band, cut.belt),
        *(_loops(cut) if cut.belt == "none" and cut.closure == "fly" else []),
    ]


def _leg(cut: LegsCut) -> list[Part]:
    knee_at = min(cut.rise + 28, (cut.rise + cut.length) / 2)
    lean = 0.055 * (cut.length - cut.rise)
    knee_in, hem_in = 1.6 + lean * 0.4, 2.2 + lean
    knee = float(np.interp(knee_at, (cut.rise, cut.rise + 28), (cut.hip + 1, cut.knee)))
    outer = smooth(
        points(
            (cut.waist, 0),
            (cut.hip, cut.rise * 0.68),
            (knee_in + knee, knee_at),
            (hem_in + cut.hem, cut.length),
        )
    )
    inner = smooth(
        points(
            (hem_in, cut.length + 0.6), (knee_in, knee_at), (0.9, cut.rise + 4), (-0.2, cut.rise)
        )
    )
    leg = Panel(outline=path(points((-0.2, 0)), outer, inner), lift=0.25)
    crotch = Line(
        points=points((1, cut.rise + 1), (cut.hip * 0.4, cut.rise - 4)), kind="fold", width=1.8
    )
    side = outer - np.array([1.3, 0.0])
    seams: list[Part] = [Line(points=side[8:], kind="stitch")] if cut.stitched else []
    return [leg, crotch, *seams, *_leg_details(cut, knee_at, knee_in, knee, hem_in)]


def _leg_details(
    cut: LegsCut, knee_at: float, knee_in: float, knee: float, hem_in: float
) -> list[Part]:
    parts: list[Part] = []
    middle_knee, middle_hem = knee_in + knee / 2, hem_in + cut.hem / 2
    if cut.crease:
        line = points((cut.hip * 0.52, 10), (middle_knee, knee_at), (middle_hem, cut.length))
        parts.append(Line(points=smooth(line), kind="fold", width=0.9, depth=0.5))
    if cut.knee_seam:
        parts += [
            Line(points=points((knee_in + 0.4, y), (knee_in + knee - 0.4, y + 0.8)))
            for y in (knee_at - 4.0, knee_at + 6.0)
        ]
    if cut.cargo:
        parts += _cargo_pocket(cut, knee_in + knee, knee_at)
    if cut.turn_up:
        up = cut.length - cut.turn_up
        band = points(
            (hem_in - 0.5, up),
            (hem_in + cut.hem + 0.5, up),
            (hem_in + cut.hem + 0.4, cut.length + 0.4),
            (hem_in - 0.4, cut.length + 1),
        )
        parts.append(Panel(outline=band, cloth="plain", tone=0.08, lift=0.4))
    else:
        hem = points((hem_in, cut.length - 2), (hem_in + cut.hem, cut.length - 2.4))
        parts.append(Line(points=hem, kind="stitch"))
    return parts


def _cargo_pocket(cut: LegsCut, edge: float, knee_at: float) -> list[Part]:
    y = min(cut.rise + 10, cut.length - 20, knee_at - 8)
    x = edge - 7.0
    bag = points((x - 5.5, y), (x + 6, y - 0.6), (x + 6, y + 15), (x - 5.5, y + 15))
    lid = points((x - 6, y - 1), (x + 6.4, y - 1.6), (x + 6.4, y + 3.4), (x - 6, y + 4))
    return [
        Panel(outline=bag, lift=0.5),
        Panel(outline=lid, cloth="plain", tone=-0.03, lift=0.5),
        Button(centre=(x, y + 2.6), radius=0.7),
    ]


def _closure(cut: LegsCut) -> list[Part]:
    if cut.closure == "fly":
        fly = smooth(
            points(
                (3.6, cut.band), (3.4, cut.rise * 0.5), (2.0, cut.rise * 0.72), (0, cut.rise * 0.8)
            )
        )
        return [
            Line(points=points((0, cut.band), (0, cut.rise)), width=0.6),
            Line(points=fly, kind="stitch" if cut.stitched else "seam"),
        ]
    if cut.closure == "buttons":
        columns = [
            column_of_buttons(x, cut.band + 2, cut.rise * 0.62, 3)
            for x in (-cut.waist * 0.4, cut.waist * 0.4)
        ]
        return [button for column in columns for button in column]
    if cut.closure == "drawstring":
        cord = smooth(points((1, 2), (2.4, 8), (2.0, 16)))
        return [
            Line(points=points((0, cut.band), (0, cut.rise)), width=0.5),
            *on_both_sides([Line(points=cord, width=0.9, depth=-0.5)]),
        ]
    pleats = Line(
        points=points((cut.waist * 0.45, cut.band), (cut.hip * 0.48, cut.rise)),
        kind="fold",
        depth=0.5,
    )
    return [Line(points=points((0, cut.band), (0, cut.rise)), width=0.5), *on_both_sides([pleats])]


def _hip_pockets(kind: str, waist: float, hip: float, band: float) -> list[Part]:
    if kind == "slant":
        edge = points((waist * 0.62, band), (hip * 0.93, band + 13))
        return on_both_sides([Line(points=edge, width=0.7, depth=0.4)])
    if kind == "curved":
        edge = smooth(
            points((waist * 0.48, band), (waist * 0.56, band + 5.5), (hip * 0.86, band + 8))
        )
        rivet = Button(centre=(waist * 0.48, band + 1), radius=0.5, tone=0.4)
        return on_both_sides(
            [
                Line(points=edge, width=0.7, depth=0.4),
                Line(points=edge + np.array([0.2, 1.2]), kind="stitch"),
                rivet,
            ]
        )
    if kind == "patch":
        x, y = waist * 0.6, band + 5
        bag = points((x - 6, y), (x + 6, y), (x + 6.4, y + 13), (x, y + 15), (x - 6.4, y + 13))
        return on_both_sides(
            [
                Panel(outline=bag, lift=0.5),
                Line(points=points((x - 6, y + 2), (x + 6, y + 2)), kind="stitch"),
            ]
        )
    if kind == "flap":
        x, y = waist * 0.62, band + 6
        lid = points((x - 6.5, y), (x + 6.5, y), (x + 6.5, y + 5), (x - 6.5, y + 5))
        return on_both_sides([Panel(outline=lid, cloth="plain", lift=0.6)])
    return []


def _waistband(waist: float, band: float, belt: str) -> list[Part]:
    outline = both_halves(points((0, -0.2), (waist, -0.4), (waist + 0.3, band), (0, band + 0.4)))
    parts: list[Part] = [Panel(outline=outline, cloth="plain", tone=0.02, lift=0.35)]
    if belt == "elastic":
        return parts + [
            Line(points=points((x, 0.2), (x, band)), kind="rib", width=0.5)
            for x in np.arange(-waist + 1, waist, 1.5)
        ]
    if belt == "none":
        return [*parts, Button(centre=(0, band * 0.5), radius=0.9)]
    strap = both_halves(points((0, 0), (waist + 0.4, -0.2), (waist + 0.6, band - 0.4), (0, band)))
    parts.append(Panel(outline=strap, cloth="trim", tone=-0.08, lift=0.4))
    if belt == "belt":
        buckle = points((-2.8, -0.6), (2.8, -0.6), (2.8, band + 0.6), (-2.8, band + 0.6))
        return [*parts, Line(points=path(buckle, buckle[:1]), width=0.8, depth=-0.5)]
    return parts + _bow(band)


def _bow(band: float) -> list[Part]:
    y = band * 0.5
    loop = smooth(points((0, y), (3, y - 2.6), (7, y - 2.4), (7, y + 2.6), (3, y + 2), (0, y)))
    tail = points((0, y), (2, y + 1), (5.6, y + 15), (2.4, y + 16))
    return [
        *on_both_sides(
            [
                Panel(outline=tail, cloth="trim", tone=-0.05, lift=0.5),
                Panel(outline=loop, cloth="trim", lift=0.5),
            ]
        ),
        Button(centre=(0, y), radius=1.3, tone=-0.1),
    ]


def _loops(cut: LegsCut) -> list[Part]:
    loops = [
        Panel(
            outline=points(
                (x - 0.7, -0.8),
                (x + 0.7, -0.8),
                (x + 0.7, cut.band + 0.6),
                (x - 0.7, cut.band + 0.6),
            ),
            cloth="plain",
            tone=-0.05,
            lift=0.3,
        )
        for x in (cut.waist * 0.4, cut.waist * 0.82)
    ]
    return on_both_sides(loops)
