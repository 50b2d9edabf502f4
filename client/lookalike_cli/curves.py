"""Draws the curves of `lookalike index tune`: recall against queries/s, a line an engine."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from lookalike_cli.tuning import name_of
from search_service.build.survey import Survey

# Told apart by those who see no red or green, too; shades of one colour for annoy's widths.
_SHADES = ("#08306b", "#2171b5", "#4292c6", "#6baed6", "#9ecae1")
_GRAPH, _GREY = "#d95f02", "#666666"
_LEAST_RECALL = 0.7
# Names stand at least this factor of queries/s apart.
_APART = 1.22


def draw(found: Survey, out: Path) -> None:
    """Writes a picture; the suffix says which kind."""
    figure = Figure(figsize=(9, 5.5), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    shades = iter(_SHADES * 2)
    names: list[tuple[float, str, str]] = []
    for choice in found.tried:
        colour = _GRAPH if choice.engine == "graph" else next(shades)
        recalls = [point.recall for point in choice.efforts]
        speeds = [1e6 / point.micros for point in choice.efforts]
        axes.plot(recalls, speeds, color=colour, marker="o", markersize=3, linewidth=1.8)
        names.append((speeds[-1], name_of(choice), colour))
    scan = 1e6 / found.scan_micros
    axes.plot([1.0], [scan], color=_GREY, marker="D", clip_on=False)
    names.append((scan, "exact", _GREY))
    target = found.options.target_recall
    axes.axvline(target, color=_GREY, linewidth=0.8, linestyle=":")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:,.0f}")
    least = min(point.recall for choice in found.tried for point in choice.efforts)
    axes.set_xlim(max(_LEAST_RECALL, least) - 0.005, 1.0)
    axes.text(target, 1.01, f"{target} ", transform=axes.get_xaxis_transform(), ha="center")
    for height, (speed, name, colour) in zip(
        spread([speed for speed, _, _ in names]), sorted(names), strict=True
    ):
        axes.annotate(
            name,
            (1.0, speed),
            xytext=(1.012, height),
            textcoords=("axes fraction", "data"),
            color=colour,
            va="center",
            annotation_clip=False,
        )
    axes.set_xlabel("recall@10")
    axes.set_ylabel("queries a second, one thread")
    axes.set_title(f"{found.photos:,} photos, {found.dimension} dimensions", loc="left")
    axes.grid(visible=True, which="both", alpha=0.2)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.savefig(out)


def spread(speeds: Sequence[float]) -> list[float]:
    """Heights for names, ascending as the speeds they stand for, far enough apart to be read."""
    heights: list[float] = []
    for speed in sorted(speeds):
        heights.append(max(speed, heights[-1] * _APART) if heights else speed)
    return heights
