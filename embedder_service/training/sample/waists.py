"""Waistbands and hip pockets, of skirts and trousers alike."""

from __future__ import annotations

import numpy as np

from embedder_service.training.sample.parts import (
    Button,
    Line,
    Panel,
    Part,
    both_halves,
    on_both_sides,
    path,
    points,
    smooth,
)


def hip_pockets(kind: str, waist: float, hip: float, band: float) -> list[Part]:
    """Pockets below a waistband `band` centimetres high."""
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


def waistband(waist: float, band: float, belt: str) -> list[Part]:
    """The band, with a button, an elastic, a belt or a bow."""
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
