"""The story as it is told: one line an act, with its seconds, and the figures it leaves."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console


@dataclass
class Act:
    """One act while it runs; `result` is what its line says when it ends."""

    number: int
    title: str
    result: str = ""
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)


@dataclass
class Story:
    """What has happened so far. `facts` becomes the last line, one JSON object."""

    out: Path
    console: Console = field(default_factory=lambda: Console(highlight=False))
    acts: list[Act] = field(default_factory=list)
    facts: dict[str, object] = field(default_factory=dict)
    begun: float = field(default_factory=time.monotonic)

    @contextmanager
    def act(self, title: str) -> Iterator[Act]:
        """Runs an act and prints its line as it ends."""
        act = Act(len(self.acts) + 1, title)
        self.acts.append(act)
        begun = time.monotonic()
        yield act
        act.seconds = time.monotonic() - begun
        self.console.print(
            f"[bold]{act.number}  {act.title}[/bold]  {act.result}  [dim]{act.seconds:.1f} s[/dim]",
            soft_wrap=True,
        )

    def note(self, text: str) -> None:
        """A line within an act, which the report keeps."""
        self.acts[-1].notes.append(text)
        self.say(text)

    def say(self, text: str) -> None:
        """A line within an act."""
        self.console.print(f"   [dim]{text}[/dim]", soft_wrap=True)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.begun
