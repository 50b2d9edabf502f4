"""The story as it is told: one line an act, with its seconds, and the figures it leaves."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.text import Text


@dataclass
class Act:
    """One act while it runs; `result` is what its line says when it ends."""

    number: int
    title: str
    result: str = ""
    seconds: float | None = None
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
        act = Act(len(self.acts) + 1, _readable(title))
        self.acts.append(act)
        begun = time.monotonic()
        yield act
        act.seconds = time.monotonic() - begun
        head, seconds = f"{act.number}  {act.title}", f"{act.seconds:.1f} s"
        # As Text: what comes from files may hold what rich would take for markup.
        line = Text.assemble((head, "bold"), f"  {act.result}  ", (seconds, "dim"))
        self.console.print(line, soft_wrap=True)

    def note(self, text: str) -> None:
        """A line within an act, which the report keeps."""
        self.acts[-1].notes.append(_readable(text))
        self.say(_readable(text))

    def say(self, text: str) -> None:
        """A line within an act; each of its lines stands to the right."""
        indented = "\n".join(f"   {line}" for line in text.splitlines())
        self.console.print(Text(indented, "dim"), soft_wrap=True)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.begun


def _readable(text: str) -> str:
    """A file's name need not be UTF-8; what is not becomes a question mark."""
    return text.encode("utf-8", "replace").decode()
