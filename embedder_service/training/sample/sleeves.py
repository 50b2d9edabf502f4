"""Sleeves and their cuffs."""

from __future__ import annotations

import math

import numpy as np

from embedder_service.training.sample.bodice import (
    UNDERARM,
    TopCut,
    shoulder_drop,
)
from embedder_service.training.sample.parts import (
    Line,
    Panel,
    Part,
    Points,
    on_both_sides,
    path,
    ribs,
    smooth,
)


def sleeves(cut: TopCut) -> list[Part]:
    """Both sleeves, which lie behind the body."""
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
        squeeze, depth = (outer - inner) * 0.09, 4.5
        outline = np.array(
            [
                outer - along * 0.5,
                outer + along * depth - squeeze,
                inner + along * depth + squeeze,
                inner - along * 0.5,
            ]
        )
        band = Panel(
            outline=outline, cloth="trim" if cut.hem_shape == "rib" else "print", tone=-0.05
        )
        return [band, *ribs(outline[0], outline[3], along * depth)]
    depth = 5.0 if cut.collar in ("shirt", "lapel") and cut.sleeve > 40 else 2.2
    return [Line(points=np.array([outer - along * depth, inner - along * depth]), kind="seam")]
