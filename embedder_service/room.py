"""How many images a batch may have: fewer for a while after the device's memory ran out."""

from __future__ import annotations

from collections.abc import Callable

# What took the memory (another process, fragments) may go again; a try too early costs one pass.
SMALLER_FOR_SECONDS = 60.0


class Room:
    """`max_batch`, or half of what last did not fit for a minute. For one thread."""

    def __init__(self, max_batch: int, clock: Callable[[], float]) -> None:
        self._max_batch = max_batch
        self._clock = clock
        self._fits = max_batch
        self._until = 0.0

    @property
    def images(self) -> int:
        if self._clock() >= self._until:
            self._fits = self._max_batch
        return self._fits

    def ran_out(self, images: int) -> None:
        """A batch of so many did not fit."""
        self._fits = max(1, images // 2)
        self._until = self._clock() + SMALLER_FOR_SECONDS
