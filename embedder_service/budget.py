"""How many bytes of images the running calls may hold together."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from lookalike_kit.errors import Overloaded

_RETRY_AFTER_SECONDS = 0.2


class ByteBudget:
    """Refuses what would go over `max_bytes`, unless nothing else is held.

    Bulk may fill half of it: it must leave room for those who wait for their answer.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._held = 0

    @contextmanager
    def hold(self, size: int, bulk: bool = False) -> Iterator[None]:
        """The bytes count as long as the `with` lasts. Raises Overloaded."""
        limit = self._max_bytes // 2 if bulk else self._max_bytes
        with self._lock:
            if self._held and self._held + size > limit:
                raise Overloaded(
                    f"bytes: expected at most {limit} in calls that run, got "
                    f"{self._held} and {size} that came",
                    retry_after_seconds=_RETRY_AFTER_SECONDS,
                )
            self._held += size
        try:
            yield
        finally:
            with self._lock:
                self._held -= size
