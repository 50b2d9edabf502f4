"""Trousers, jeans, shorts, and the lower part of a jumpsuit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from embedder_service.training.sample.parts import (
    Button,
    Line,
    Panel,
    Part,
    column_of_buttons,
    on_both_sides,
    path,
    points,
    smooth,
)
from embedder_service.training.sample.waists import hip_pockets, waistband


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


def legs(cut: LegsCut) -> list[Part]:
    """The parts of trousers or shorts."""
    return [
        *on_both_sides(_leg(cut)),
        *_closure(cut),
        *hip_pockets(cut.pockets, cut.waist, cut.hip, cut.band),
        *waistband(cut.waist, cut.band, cut.belt),
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
