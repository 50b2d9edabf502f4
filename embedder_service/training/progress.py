"""What a training prints: a bar on a terminal, and one line an epoch everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from embedder_service.training.epochs import Epoch

# The articles' columns, and how often a photo's own item comes first.
_TITLES = ("epoch", "train_loss", "valid_loss", "top_1", "top_3", "top_5", "item r@1", "time")
_WIDTHS = (5, 12, 12, 8, 8, 8, 10, 8)


class Ticker:
    """A bar that moves with `on_step`; use it as a context. Silent where there is no terminal."""

    def __init__(self, what: str, console: Console) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self._progress = Progress(
            *columns,
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task(what, total=None)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def on_step(self, done: int, total: int) -> None:
        """Moves the bar."""
        self._progress.update(self._task, completed=done, total=total)


def epoch_lines(epoch: Epoch) -> str:
    """One epoch's line, the first with the table's head; a dash where the labels cannot say."""
    minutes, seconds = divmod(round(epoch.seconds), 60)
    cells = (
        str(epoch.number),
        f"{epoch.train_loss:.3f}",
        _number(epoch.valid_loss),
        _percent(epoch.top_1),
        _percent(epoch.top_3),
        _percent(epoch.top_5),
        _percent(epoch.item_recall_at_1),
        f"{minutes}:{seconds:02}",
    )
    return f"{_line(_TITLES)}\n{_line(cells)}" if epoch.number == 1 else _line(cells)


def _line(cells: Sequence[str]) -> str:
    return "".join(cell.rjust(width) for cell, width in zip(cells, _WIDTHS, strict=True))


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"
