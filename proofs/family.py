"""Processes that a process has begun, and their end."""

import os
import signal
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


def children(pid: int) -> set[int]:
    """Of all its threads; empty where it has ended."""
    found: set[int] = set()
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # a thread that has ended
            found.update(map(int, path.read_text().split()))
    return found


def descendants(pid: int) -> set[int]:
    """Its children, theirs, and so on."""
    of = children(pid)
    return of.union(*map(descendants, of))


def kill(pids: Iterable[int]) -> None:
    """-9; who has ended meanwhile is left alone."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
