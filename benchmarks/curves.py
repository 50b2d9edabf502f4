"""A picture of speed against recall, a curve an engine."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from lookalike_cli.curves import spread
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

_LEAST_RECALL = 0.7
_COLOURS = ("#777777", "#d95f02", "#1b6ca8")


@dataclass(frozen=True)
class Curve:
    """recalls ascend; speeds: queries a second at each."""

    name: str
    recalls: Sequence[float]
    speeds: Sequence[float]

    def speed_at(self, recall: float) -> float:
        """At the first point that reaches the recall; 0 where none does."""
        reached = (s for r, s in zip(self.recalls, self.speeds, strict=True) if r >= recall)
        return next(reached, 0.0)


def draw(curves: Sequence[Curve], title: str, folder: Path, name: str) -> None:
    """Writes curves-<name>.png: how much is missed on x, halved again and again towards none."""
    mpl.rcParams["font.size"] = 10
    figure = Figure(figsize=(8.4, 4.4), layout="constrained")
    axes = figure.add_subplot()
    names: list[tuple[float, str, str]] = []
    for curve, colour in zip(curves, _COLOURS, strict=True):
        points = [
            (1 - recall, speed)
            for recall, speed in zip(curve.recalls, curve.speeds, strict=True)
            if _LEAST_RECALL <= recall < 1
        ]
        missed, speeds = zip(*points, strict=True)
        axes.plot(missed, speeds, "o-", color=colour, markersize=3.5, linewidth=1.6)
        names.append((speeds[-1], curve.name, colour))
    heights = spread([speed for speed, _, _ in names])
    for height, (_, engine, colour) in zip(heights, sorted(names), strict=True):
        axes.text(
            1.012, height, engine, color=colour, va="center", transform=axes.get_yaxis_transform()
        )
    axes.set(xscale="log", yscale="log", xlabel="recall@10", ylabel="queries a second, one thread")
    axes.set_xlim(1 - _LEAST_RECALL, 0.002)
    axes.xaxis.set_major_locator(FixedLocator([0.3, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda missed, _: f"{1 - missed:g}"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda speed, _: f"{speed:,.0f}"))
    axes.grid(which="major", color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(title, loc="left", fontsize=11)
    folder.mkdir(exist_ok=True)
    figure.savefig(folder / f"curves-{name}.png", dpi=120)
