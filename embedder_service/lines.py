"""The calls that wait for the device: online before bulk, each line in the order of coming."""

from __future__ import annotations

import math
from collections import deque

from embedder_service.pace import Pace
from embedder_service.pending import DeadlineTooShort, Part, PendingCall
from lookalike_kit.errors import Overloaded, ServiceError


class Lines:
    """Two bounded lines, and the places in them of calls whose images are still being read.

    Not for threads: its owner holds a lock around it.
    """

    def __init__(self, pace: Pace, max_images: int) -> None:
        self._pace = pace
        self._max_images = max_images
        self._calls: dict[bool, deque[PendingCall]] = {False: deque(), True: deque()}
        self._reserved = {False: 0, True: 0}

    def __bool__(self) -> bool:
        """Whether there is anything to take or to pass over."""
        return any(self._calls.values())

    def add(self, call: PendingCall, bulk: bool) -> None:
        self._calls[bulk].append(call)

    def reserve(self, images: int, bulk: bool) -> None:
        """Places for images to come; a negative number gives them back."""
        self._reserved[bulk] += images

    def waiting(self, bulk: bool) -> int:
        """Images here that somebody still wants; a line is as short as there are threads."""
        return sum(call.waiting for call in self._calls[bulk] if not call.future.done())

    def ahead(self, bulk: bool) -> int:
        """Images, here or being read, that would go before one that came now."""
        online = self._expected(False)
        return online + self._expected(True) if bulk else online

    def refuse_if_full(self, images: int, bulk: bool) -> None:
        # A bulk job must leave room for those who wait for their answer. An empty queue takes any
        # call, so that none is too large for ever.
        limit = self._max_images // 2 if bulk else self._max_images
        expected = self.ahead(bulk=True)
        if expected and expected + images > limit:
            raise Overloaded(
                f"images: expected at most {limit} to wait for the device, got {expected} that "
                f"wait and {images} that came",
                retry_after_seconds=self._pace.predict(expected),
            )

    def refuse_if_late(self, images: int, seconds: float, remaining: float | None) -> None:
        if remaining is not None and seconds > remaining:
            raise DeadlineTooShort(
                f"deadline: expected at least {seconds:.3f} s for {images} images, "
                f"got {remaining:.3f} s",
                retry_after_seconds=self._pace.predict(self.ahead(bulk=False)),
                predicted_ms=str(round(seconds * 1000)),
            )

    def fill(self, room: int) -> bool:
        """Whether the next batch is full, and nothing that goes before it may still come.

        An online image that came now would wait for a bulk batch more.
        """
        if self.waiting(False) >= room:
            return True
        return not self._expected(False) and self.waiting(True) >= room

    def take(self, room: int, now: float, starts: float) -> list[Part]:
        """The next batch; who left or cannot be answered in time is passed over for good.

        It ends before the image that would make another in it late: each was promised its time.
        """
        parts: list[Part] = []
        taken = 0
        end_by = math.inf
        for line in self._calls.values():
            while line and taken < room:
                call = line[0]
                count = min(call.waiting, room - taken)
                if call.still_wanted(starts + self._pace.predict_idle(count)):
                    end_by = min(end_by, call.deadline)
                    if parts and starts + self._pace.predict(taken + count) > end_by:
                        return parts
                    parts.append(call.take(count, now))
                    taken += count
                if not call.waiting or call.future.done():
                    line.popleft()
        return parts

    def fail_all(self, error: ServiceError) -> None:
        for line in self._calls.values():
            for call in line:
                call.fail(error)
            line.clear()

    def _expected(self, bulk: bool) -> int:
        return self.waiting(bulk) + self._reserved[bulk]
