"""Images of many calls -> the batches of one device.

One thread owns the model. Whenever the device is free it takes what waits, up to `max_batch`, and
never waits for more: under load batches fill by themselves, and a lone image goes at once.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Protocol

import numpy as np

from embedder_service.images import Pixels
from embedder_service.pace import Pace
from embedder_service.pending import (
    DeadlineTooShort,
    Embedded,
    ForwardFailed,
    Part,
    PendingCall,
    Vectors,
)
from lookalike_kit import logs
from lookalike_kit.errors import Overloaded, ShuttingDown

log = logs.get(__name__)

Embed = Callable[[Pixels], Vectors]  # uint8 [n, 3, side, side] -> float32 [n, d]


class BatchObserver(Protocol):
    """Who is told of every batch that reached the device, from the model thread."""

    def batch(self, images: int, queued_seconds: Sequence[float], forward_seconds: float) -> None:
        """`queued_seconds` has an entry for each call that had images in it."""


class Batcher:
    """Bounded, online before bulk, no timer; every future is settled exactly once.

    `deadline` and `clock` are seconds of the same monotonic clock. After `give_up` a call's images
    that have not reached the device never will.
    """

    def __init__(
        self,
        embed: Embed,
        pace: Pace,
        max_queue_images: int,
        observer: BatchObserver,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._embed = embed
        self._pace = pace
        self._max_queue_images = max_queue_images
        self._observer = observer
        self._clock = clock
        self._changed = threading.Condition()  # its lock is reentrant
        self._online: deque[PendingCall] = deque()
        self._bulk: deque[PendingCall] = deque()
        self._device_free_at: float | None = None  # None: it is free
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)

    def start(self) -> None:
        """Starts the model thread."""
        self._thread.start()

    def stop(self) -> None:
        """Refuses what waits and what comes, finishes the batch on the device, ends the thread."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()

    def submit(
        self, images: Sequence[Pixels], deadline: float | None = None, bulk: bool = False
    ) -> Future[Embedded]:
        """Queues one call's images (at least one, uint8 [3, side, side]).

        Raises Overloaded, DeadlineTooShort or ShuttingDown at once; the future may end in
        DeadlineTooShort, ShuttingDown or ForwardFailed.
        """
        with self._changed:
            self.admit(len(images), deadline, bulk)
            call = PendingCall(images, deadline, self._clock())
            (self._bulk if bulk else self._online).append(call)
            self._changed.notify()
        return call.future

    def admit(self, images: int, deadline: float | None = None, bulk: bool = False) -> None:
        """Raises what submit would raise now: to refuse a call before its images are decoded."""
        with self._changed:
            if self._stopping:
                raise _stopping()
            self._refuse_if_full(images, bulk)
            self._refuse_if_late(images, deadline, bulk, self._clock())

    def waiting(self, bulk: bool) -> int:
        """Images that wait for the device."""
        with self._changed:
            return _count(self._bulk if bulk else self._online)

    def _refuse_if_full(self, images: int, bulk: bool) -> None:
        # A bulk job must leave room for those who wait for their answer. An empty queue takes any
        # call, so that none is too large for ever.
        limit = self._max_queue_images // 2 if bulk else self._max_queue_images
        waiting = _count(self._online) + _count(self._bulk)
        if waiting and waiting + images > limit:
            raise Overloaded(
                f"images: expected at most {limit} to wait for the device, got {waiting} that wait "
                f"and {images} that came",
                retry_after_seconds=self._pace.predict(waiting),
            )

    def _refuse_if_late(self, images: int, deadline: float | None, bulk: bool, now: float) -> None:
        if deadline is None:
            return
        seconds = self._seconds_until_done(images, bulk, now)
        if now + seconds > deadline:
            raise DeadlineTooShort(
                f"deadline: expected at least {seconds:.3f} s for {images} images, "
                f"got {deadline - now:.3f} s",
                retry_after_seconds=self._pace.predict(_count(self._online)),
                predicted_ms=str(round(seconds * 1000)),
            )

    def _seconds_until_done(self, images: int, bulk: bool, now: float) -> float:
        ahead = _count(self._online) + (_count(self._bulk) if bulk else 0)
        if self._device_free_at is None and not ahead:
            return self._pace.predict_idle(images)
        on_device = max(0.0, (self._device_free_at or now) - now)
        return on_device + self._pace.predict(ahead + images)

    def _run(self) -> None:
        while parts := self._take():
            self._forward(parts)
        self._refuse_all()

    def _take(self) -> list[Part]:
        """Blocks until something waits; empty only when the batcher stops."""
        with self._changed:
            while not self._stopping:
                if parts := self._take_waiting():
                    images = sum(len(part.images) for part in parts)
                    self._device_free_at = self._clock() + self._pace.predict(images)
                    return parts
                self._device_free_at = None
                self._changed.wait()
        return []

    def _take_waiting(self) -> list[Part]:
        now = self._clock()
        room = self._pace.max_batch
        parts: list[Part] = []
        for line in (self._online, self._bulk):
            while line and room:
                call = line[0]
                if not call.still_wanted(now):
                    line.popleft()
                    continue
                part = call.take(room, now)
                parts.append(part)
                room -= len(part.images)
                if not call.waiting:
                    line.popleft()
        return parts

    def _forward(self, parts: Sequence[Part]) -> None:
        images = [image for part in parts for image in part.images]
        began = self._clock()
        try:
            vectors = self._embed(np.stack(images))
            rows = np.split(vectors, np.cumsum([len(part.images) for part in parts])[:-1])
            if len(vectors) != len(images):
                raise ValueError(f"{len(vectors)} vectors for {len(images)} images")
            seconds = self._clock() - began
            for part, part_vectors in zip(parts, rows, strict=True):
                part.call.put(part, part_vectors, seconds)
            self._pace.observe(len(images), seconds)
            self._observer.batch(len(images), [part.queued_seconds for part in parts], seconds)
        except Exception as error:  # the thread outlives any batch, and what counts it
            log.exception("forward_failed", images=len(images))
            for part in parts:
                part.call.fail(ForwardFailed(str(error)))

    def _refuse_all(self) -> None:
        with self._changed:
            for call in (*self._online, *self._bulk):
                call.fail(_stopping())
            self._online.clear()
            self._bulk.clear()


def _count(line: deque[PendingCall]) -> int:
    """Images that are wanted still; a line is as short as there are handler threads."""
    return sum(call.waiting for call in line if not call.future.done())


def _stopping() -> ShuttingDown:
    return ShuttingDown("the embedder is stopping; another replica takes the call")
