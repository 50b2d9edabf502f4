"""Curves and tables of colour as SVG, in the page's own ink: they follow its light and dark."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from embedder_service.judging.classes import Confusion
from embedder_service.judging.copies import Copies
from embedder_service.judging.findings import Similarities

Shares = npt.NDArray[np.float64]

# What the page replaces by its own colours.
_INK, _OURS, _RIGHT, _PALE = "#010203", "#010204", "#010205", "#010206"
_COLOURS = {
    _INK: "currentColor",
    _OURS: "var(--ours)",
    _RIGHT: "var(--right)",
    _PALE: "var(--pale)",
}
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "lookalike",
    "font.size": 11,
    "font.family": "sans-serif",
    "text.color": _INK,
    "axes.edgecolor": _PALE,
    "axes.labelcolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def similarities(each: Similarities) -> Markup:
    """How similar pairs of other items are, and of the same."""

    def draw(axes: Axes) -> None:
        bins = np.linspace(0, 1, 61)
        highest = 0.0
        for values, colour, label in (
            (each.others, _PALE, "photos of other items"),
            (each.same, _OURS, "photos of the same item"),
        ):
            if len(values):
                weights = np.full(len(values), 1 / len(values))
                heights, _, _ = axes.hist(
                    values, bins=list(bins), weights=weights, color=colour, alpha=0.55, label=label
                )
                highest = max(highest, float(np.asarray(heights)[1:].max()))
        # Half of the pairs may have the similarity 0: their bar goes through the roof.
        axes.set_ylim(0, 1.45 * highest or 1)
        least = np.mean(each.others < bins[1]) if len(each.others) else 0
        if least > axes.get_ylim()[1]:
            axes.annotate(f"{least:.0%} here", (bins[1] + 0.01, 1.22 * highest), fontsize=9)
        for turn, threshold in enumerate(each.thresholds):
            axes.axvline(threshold.similarity, color=_INK, linewidth=0.8, linestyle=":")
            axes.annotate(
                f" {threshold.rate:.1%}",
                (threshold.similarity, 0.98 - 0.09 * turn),
                xycoords=("data", "axes fraction"),
                fontsize=9,
                va="top",
            )
        axes.set_xlim(0, 1)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("similarity")
        axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=2)

    return _svg(draw, 7.2, 3.1)


def copies(each: Copies, others: Shares) -> Markup:
    """How similar changed copies are to their originals, a line a change."""

    def draw(axes: Axes) -> None:
        rows: Mapping[str, Shares] = {"photos of other items": others, **each.similarities}
        rows = {name: values for name, values in rows.items() if len(values)}
        parts: Any = axes.violinplot(
            [_thinned(values) for values in rows.values()],
            orientation="horizontal",
            widths=0.85,
            showextrema=False,
            showmedians=True,
        )
        parts["cmedians"].set_color(_INK)
        for name, body in zip(rows, parts["bodies"], strict=True):
            body.set_facecolor(_PALE if name == "photos of other items" else _OURS)
            body.set_alpha(0.6)
        axes.set_yticks(range(1, len(rows) + 1), list(rows))
        axes.invert_yaxis()
        axes.set_xlim(0, 1)
        axes.set_xlabel("similarity to the original")
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)

    return _svg(draw, 7.2, 3.2)


def confusion(table: Confusion) -> Markup:
    """Rows are what was shown, columns what was told; the darker, the larger the share of a row."""
    counts = np.array(table.counts, np.float64)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = max(4.2, 0.2 * len(counts) + 2)

    def draw(axes: Axes) -> None:
        for (row, column), share in np.ndenumerate(shares):
            if share:
                place = column + 0.04, row + 0.04
                alpha = 0.08 + 0.62 * share
                axes.add_patch(Rectangle(place, 0.92, 0.92, color=_OURS, alpha=alpha, linewidth=0))
        axes.set_xlim(0, len(counts))
        axes.set_ylim(len(counts), 0)
        places = np.arange(len(counts)) + 0.5
        size = 9 if len(counts) <= 30 else 6
        axes.set_xticks(places, table.classes, rotation=60, ha="right", fontsize=size)
        axes.set_yticks(places, table.classes, fontsize=size)
        axes.set_aspect("equal")
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.set_ylabel("shown")
        axes.set_xlabel("told")
        if len(counts) <= 25:
            _write_shares(axes, shares)

    return _svg(draw, side + 0.6, side)


def flat_map(squares: Sequence[Image.Image], places: Shares, colours: Sequence[str]) -> Image.Image:
    """Photos at their places on nothing, the first on top, framed in their colours."""
    width, height, side = 1600, 1080, 44
    sheet = Image.new("RGBA", (width, height))
    for number in reversed(range(len(squares))):
        x, y = places[number]
        left, top = round(x * (width - side - 8)), round(y * (height - side - 8))
        if colours[number]:
            sheet.paste(colours[number], (left, top, left + side + 8, top + side + 8))
        sheet.paste(squares[number].resize((side, side)), (left + 4, top + 4))
    return sheet


def _write_shares(axes: Axes, shares: Shares) -> None:
    for (row, column), share in np.ndenumerate(shares):
        if share >= 0.005:
            axes.text(
                column + 0.5,
                row + 0.5,
                f"{100 * share:.0f}",
                ha="center",
                va="center_baseline",
                fontsize=7,
            )


def _thinned(values: Shares) -> Shares:
    """A violin of 2,000 is drawn at once, one of 200,000 in minutes; constants have no width."""
    few = values[:: max(1, len(values) // 2000)]
    return few + np.random.default_rng(0).normal(0, 1e-3, len(few))


def _svg(draw: Callable[[Axes], None], width: float, height: float) -> Markup:
    with rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots()
        axes.patch.set_alpha(0)
        draw(axes)
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    svg = file.getvalue()
    for sentinel, colour in _COLOURS.items():
        svg = svg.replace(sentinel, colour)
    # Names of classes were escaped by matplotlib.
    return Markup(svg[svg.index("<svg") :])  # noqa: S704
