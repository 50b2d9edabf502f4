"""The dashboards' panels, drawn by us from a Prometheus' data: what Grafana would show, roughly."""

import io
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.ticker import FuncFormatter, MultipleLocator
from PIL import Image

from proofs.asked import resolved
from proofs.prometheus import Prometheus
from tools.monitoring.clock import Clock
from tools.monitoring.operators import operators
from tools.monitoring.owners import owners
from tools.monitoring.panel import Dashboard, Panel, Unit

Line = list[tuple[float, float]]  # times and values
Moments = Sequence[tuple[float, float, str]]  # from, to, what was done

_ACROSS, _POINTS = 3, 300
_WIDE, _HIGH, _DPI = 15.0, 2.5, 72  # inches, a panel's height
_LINES = 6  # in a legend
_LONG = 34  # letters of a name
_COLOURS = 128
_GREY, _BAND = "#5f6b7a", "#eef2f6"
_SAID = 20  # lines of a panel of numbers, in two columns
_TIMES = (("d", 86400), ("h", 3600), ("min", 60))
_BYTES = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3))


def draw(watcher: Prometheus, clock: Clock, moments: Moments, folder: Path) -> None:
    """A PNG for each dashboard. moments: what was done from when to when."""
    folder.mkdir(parents=True, exist_ok=True)
    for dashboard in (owners(), operators()):
        figure = _drawn(dashboard, watcher, clock, moments)
        _save(figure, folder / f"{dashboard.uid}.png")


def _drawn(
    dashboard: Dashboard,
    watcher: Prometheus,
    clock: Clock,
    moments: Moments,
) -> Any:
    heights = [height for row in dashboard.rows for height in _heights(len(row.panels))]
    figure = plt.figure(figsize=(_WIDE, _HIGH * sum(heights)), layout="constrained")
    grid = figure.add_gridspec(len(heights), _ACROSS, height_ratios=heights)
    at = 0
    for row in dashboard.rows:
        title = figure.add_subplot(grid[at, :])
        title.axis("off")
        title.text(0, 0.2, row.title, fontsize=14, weight="bold", color="#1f2933")
        for place, panel in enumerate(row.panels):
            axes = figure.add_subplot(grid[at + 1 + place // _ACROSS, place % _ACROSS])
            _panel(axes, panel, watcher, clock, moments)
        at += len(_heights(len(row.panels)))
    figure.supxlabel(
        "minutes of the proof; the shading changes with each thing that is done to the fleet",
        fontsize=9,
        color=_GREY,
    )
    return figure


def _save(figure: Any, path: Path) -> None:
    """So many colours are enough, and take half of the bytes."""
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=_DPI, facecolor="white")
    plt.close(figure)
    with Image.open(drawn) as image:
        image.convert("RGB").quantize(_COLOURS).save(path, optimize=True)


def _heights(panels: int) -> list[float]:
    """A row's title, and its lines of panels."""
    return [0.16, *[1.0] * -(-panels // _ACROSS)]


def _panel(
    axes: Any,
    panel: Panel,
    watcher: Prometheus,
    clock: Clock,
    moments: Moments,
) -> None:
    start, end = moments[0][0], moments[-1][1]
    step = _step(moments)
    lines = [
        (_named(query.legend, labels), values)
        for query in panel.queries
        for labels, values in watcher.between(resolved(query.expr, clock), start, end, step)
    ]
    axes.set_title(panel.title, fontsize=9.5, loc="left", color="#1f2933")
    if not lines:
        _said(axes, ["nothing of the kind"])
    elif panel.is_number:
        _said(axes, _numbers(lines, panel.unit))
    else:
        _curves(axes, panel, lines, moments)


def _curves(
    axes: Any,
    panel: Panel,
    lines: list[tuple[str, Line]],
    moments: Moments,
) -> None:
    start, end = moments[0][0], moments[-1][1]
    for begun, ended, _ in moments[::2]:
        axes.axvspan((begun - start) / 60, (ended - start) / 60, color=_BAND, lw=0, zorder=0)
    for name, values in lines:
        short = len(values) < _POINTS / 50  # a line of a few points would be lost
        at, heights = zip(*_with_gaps(values, 3 * _step(moments)), strict=True)
        minutes = [(moment - start) / 60 for moment in at]
        axes.plot(minutes, heights, lw=1.1, marker="." if short else None, label=name)
    axes.set_xlim(0, (end - start) / 60)
    _scale(axes, panel, [each for _, values in lines for _, each in values])
    axes.tick_params(labelsize=7, colors=_GREY, length=2)
    axes.grid(axis="y", color="#dfe4ea", lw=0.6)
    axes.spines[:].set_visible(False)
    handles, names = axes.get_legend_handles_labels()
    unique = dict(zip(names, handles, strict=True))
    axes.legend(
        list(unique.values())[:_LINES],
        list(unique)[:_LINES],
        fontsize=6.5,
        ncols=2,
        frameon=False,
        loc="upper left",
        bbox_to_anchor=(0, -0.1),
        borderaxespad=0,
        labelcolor=_GREY,
    )


def _step(moments: Moments) -> float:
    return max(1.0, (moments[-1][1] - moments[0][0]) / _POINTS)


def _with_gaps(values: Line, longest: float) -> Line:
    """Where there was nothing for longer than that, nothing is drawn."""
    drawn: Line = []
    for at, value in values:
        if drawn and at - drawn[-1][0] > longest:
            drawn.append((at, math.nan))
        drawn.append((at, value))
    return drawn


def _scale(axes: Any, panel: Panel, values: list[float]) -> None:
    known = [value for value in values if math.isfinite(value)] or [0.0]
    low, high = min(known), max(known)
    margin = 0.1 * (high - (low if panel.least is None else panel.least))
    bottom = low - margin if panel.least is None else panel.least
    top = high + margin
    if panel.most is not None and high > 0.9 * panel.most:
        bottom, top = min(bottom, 0.9 * panel.most), panel.most * 1.005
    # Where all is zero, the zero belongs at the bottom.
    axes.set_ylim(bottom, top if top > bottom else bottom + 1)
    if panel.unit is Unit.SECONDS:
        size = next((size for _, size in _TIMES if top >= 2 * size), None)
        if size:
            axes.yaxis.set_major_locator(MultipleLocator(size * math.ceil(top / size / 6)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _shown(value, panel.unit)))


def _said(axes: Any, lines: list[str]) -> None:
    axes.axis("off")
    for place, line in enumerate(lines[:_SAID]):
        column, height = divmod(place, _SAID // 2)
        at = (0.56 * column, 0.88 - height / (_SAID // 2))
        axes.text(
            *at, line, fontsize=9 if len(lines) <= _SAID // 2 else 7, transform=axes.transAxes
        )


def _numbers(lines: list[tuple[str, Line]], unit: Unit) -> list[str]:
    """The last value of each line."""
    return [f"{_shown(values[-1][1], unit)}   {name}" for name, values in lines]


def _named(legend: str, labels: Mapping[str, str]) -> str:
    """Grafana's form, {{label}}; a space's 64 digits by their first."""
    name = re.sub(r"\{\{(\w+)\}\}", lambda match: labels.get(match[1], ""), legend)
    name = re.sub(r"\b([0-9a-f]{6})[0-9a-f]{58}\b", r"\1…", name)
    name = name.replace("lookalike-", "").strip() or "all"
    return name if len(name) <= _LONG else f"{name[: _LONG - 1]}…"


def _shown(value: float, unit: Unit) -> str:
    if unit is Unit.SHARE:
        return f"{100 * value:.4g} %"
    if unit is Unit.SECONDS:
        return _seconds(value)
    if unit is Unit.BYTES:
        name, size = next((each for each in _BYTES if abs(value) >= each[1]), ("B", 1))
        return f"{value / size:.3g} {name}"
    return f"{value:.4g}"


def _seconds(value: float) -> str:
    if value == 0:
        return "0"
    if abs(value) < 1:
        return f"{1000 * value:.3g} ms"
    for name, size in _TIMES:
        if abs(value) >= 2 * size:
            return f"{value / size:.3g} {name}"
    return f"{value:.3g} s"
