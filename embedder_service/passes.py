"""Batches on the device: one pass, or several smaller ones where memory runs out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from embedder_service.images import Pixels
from embedder_service.pace import Pace
from embedder_service.pending import ForwardFailed, Part, Vectors, Wait
from embedder_service.room import Room
from embedder_service.trouble import DeviceFailed, is_lost, is_out_of_memory
from lookalike_kit import logs

log = logs.get(__name__)

Embed = Callable[[Pixels], Vectors]  # uint8 [n, 3, side, side] -> float32 [n, d]

# A pass is stuck after ten times its prediction and `stuck_seconds` more.
STUCK_TIMES = 10.0


class BatchObserver(Protocol):
    """Who is told of every pass, from the model thread."""

    def batch(self, images: int, waits: Sequence[Wait], forward_seconds: float) -> None:
        """`waits` has an entry for each call that had images in it."""

    def trouble(self, kind: str) -> None:
        """A pass brought no vectors: "out_of_memory" or "error"; the device is
        given up: "lost" or "stuck"."""


class Passes:
    """For one thread; another may ask whether it is stuck."""

    def __init__(
        self,
        embed: Embed,
        pace: Pace,
        observer: BatchObserver,
        clock: Callable[[], float],
        stuck_seconds: float,
    ) -> None:
        self._embed = embed
        self._pace = pace
        self._observer = observer
        self._clock = clock
        self._stuck_seconds = stuck_seconds
        self._room = Room(pace.max_batch, clock)
        self._stuck_at: float | None = None  # None: nothing is on the device
        self._last_batch_failed = False

    @property
    def room(self) -> int:
        """The most images the next batch may have."""
        return self._room.images

    @property
    def is_stuck(self) -> bool:
        """Whether a pass has taken far longer than any honest one."""
        stuck_at = self._stuck_at
        return stuck_at is not None and self._clock() >= stuck_at

    def forward(self, parts: Sequence[Part]) -> None:
        """Settles the parts, or raises DeviceFailed when the device is of no more use.

        Where memory runs out the batch goes in halves; an image that does not fit alone fails
        alone. Any other error fails its calls, and in two batches in a row it is the device's.
        """
        rest = [list(parts)]
        failed = came_back = False
        while rest:
            batch = self._wanted(rest.pop())
            images = sum(len(part.images) for part in batch)
            error = self._try(batch, images) if batch else None
            if error is None:
                came_back = came_back or bool(batch)
            elif is_out_of_memory(error) and images > 1:
                self._room.ran_out(images)
                rest.extend(reversed(_halves(batch, images)))
            elif is_lost(error) or (self._last_batch_failed and not came_back):
                raise DeviceFailed(f"the device has failed and this replica ends: {error}")
            else:
                _fail(batch, error)
                failed = True
        self._last_batch_failed = failed and not came_back

    def _wanted(self, parts: Sequence[Part]) -> list[Part]:
        now = self._clock()
        return [part for part in parts if part.call.still_wanted(now)]

    def _try(self, parts: Sequence[Part], images: int) -> Exception | None:
        """The error, without the frames: they would hold the device's memory during a retry."""
        began = self._clock()
        self._stuck_at = began + STUCK_TIMES * self._pace.predict(images) + self._stuck_seconds
        try:
            vectors = self._embed(_stacked([image for part in parts for image in part.images]))
            if len(vectors) != images:
                raise ValueError(f"{len(vectors)} vectors for {images} images")
        except Exception as error:  # noqa: BLE001 - whatever it is, the thread outlives it
            self._report(error, images)
            return error.with_traceback(None)
        finally:
            self._stuck_at = None
        self._settle(parts, vectors, self._clock() - began)
        # With the settling, which keeps the device waiting when many threads want to go on.
        self._pace.observe(images, self._clock() - began)
        return None

    def _settle(self, parts: Sequence[Part], vectors: Vectors, seconds: float) -> None:
        is_finite = np.asarray(np.isfinite(vectors).all(axis=1))
        row = 0
        for part in parts:
            rows = slice(row, row + len(part.images))
            row = rows.stop
            if is_finite[rows].all():
                part.call.put(part, vectors[rows], seconds)
            else:
                part.call.fail(ForwardFailed("vectors that are not finite"))
        try:
            self._observer.batch(len(vectors), [part.wait for part in parts], seconds)
        except Exception:  # the thread outlives what counts its work
            log.exception("observer_failed")

    def _report(self, error: Exception, images: int) -> None:
        if is_out_of_memory(error):
            self._observer.trouble("out_of_memory")
            log.warning("out_of_memory", images=images, error=str(error))
            return
        self._observer.trouble("error")
        log.exception("forward_failed", images=images)


def _stacked(images: Sequence[Pixels]) -> Pixels:
    """As np.stack, which lets go of the interpreter's lock with every image."""
    if len(images) == 1:
        return images[0][np.newaxis]
    joined = bytearray().join(image.data for image in images)
    return np.frombuffer(joined, np.uint8).reshape(-1, *images[0].shape)


def _halves(parts: Sequence[Part], images: int) -> list[list[Part]]:
    """The images in their order, as equally shared as they can be."""
    first: list[Part] = []
    second: list[Part] = []
    room = (images + 1) // 2
    for part in parts:
        here, there = part.split(room)
        first.extend(here)
        second.extend(there)
        room -= sum(len(each.images) for each in here)
    return [first, second]


def _fail(parts: Sequence[Part], error: Exception) -> None:
    if is_out_of_memory(error):
        told: Exception = DeviceFailed("memory: expected room on the device for an image, got none")
    else:
        told = ForwardFailed(str(error))
    for part in parts:
        part.call.fail(told)
