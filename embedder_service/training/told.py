"""What a training tells beside its lines: a picture of its curves, and TensorBoard's events."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch.utils.tensorboard import SummaryWriter

from embedder_service.training.epochs import Epoch

_LOSSES = (("train_loss", "training", "#2171b5"), ("valid_loss", "validation", "#d95f02"))
_SHARES = (
    ("top_1", "top-1", "#08306b"),
    ("top_3", "top-3", "#4292c6"),
    ("top_5", "top-5", "#9ecae1"),
    ("item_recall_at_1", "own item first", "#d95f02"),
)
_BOARD = ("train_loss", "valid_loss", "top_1", "top_3", "top_5", "item_recall_at_1", "rate")


def log_epoch(folder: Path, epoch: Epoch) -> None:
    """Adds an epoch to TensorBoard's events: a small file each, so that none is ever half open.

    What an interrupted training had logged of the same epoch no longer counts.
    """
    with SummaryWriter(str(folder), purge_step=epoch.number) as board:
        for name in _BOARD:
            value = getattr(epoch, name)
            if value is not None:
                board.add_scalar(name, value, epoch.number)


def draw_curves(history: Sequence[Epoch], path: Path) -> None:
    """Losses to the left, shares to the right, epoch by epoch."""
    figure = Figure(figsize=(11, 4.2), dpi=110, layout="constrained")
    losses, shares = figure.subplots(1, 2)
    _lines(losses, history, _LOSSES)
    losses.set_title("loss", loc="left")
    _lines(shares, history, _SHARES)
    shares.set_ylim(0, 1)
    shares.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    shares.set_title("of the validation photos", loc="left")
    figure.savefig(path, format="png")


def _lines(axes: Axes, history: Sequence[Epoch], lines: Sequence[tuple[str, str, str]]) -> None:
    for name, title, colour in lines:
        points = [(e.number, getattr(e, name)) for e in history if getattr(e, name) is not None]
        if points:
            numbers, values = zip(*points, strict=True)
            axes.plot(numbers, values, color=colour, marker="o", markersize=3, label=title)
    axes.set_xlim(0.5, history[-1].epochs + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("epoch")
    axes.grid(visible=True, alpha=0.25)
    if axes.lines:
        axes.legend(frameon=False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
