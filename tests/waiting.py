"""For what another thread or process is about to do."""

import time
from collections.abc import Callable

MOST_SECONDS = 20


def until(condition: Callable[[], object]) -> None:
    """Waits for it; fails where it does not come."""
    end = time.monotonic() + MOST_SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)
