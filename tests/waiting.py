"""For what another thread or process is about to do."""

import time
from collections.abc import Callable, Collection
from pathlib import Path

MOST_SECONDS = 20


def until(condition: Callable[[], object]) -> None:
    """Waits for it; fails where it does not come."""
    end = time.monotonic() + MOST_SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


def until_gone(pids: Collection[int]) -> None:
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))
