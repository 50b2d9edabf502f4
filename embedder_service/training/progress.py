"""What a training prints: a bar on a terminal, and one line an epoch everywhere."""

from __future__ import annotations

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

from embedder_service.training.finetune import Epoch

_TITLES = ("epoch", "train loss", "valid loss", "top-1", "top-3", "item r@1", "time")
_WIDTH = 11


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
        _percent(epoch.item_recall_at_1),
        f"{minutes}:{seconds:02}",
    )
    line = "".join(cell.rjust(_WIDTH) for cell in cells)
    head = "".join(title.rjust(_WIDTH) for title in _TITLES)
    return f"{head}\n{line}" if epoch.number == 1 else line


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"
