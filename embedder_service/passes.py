"""Passes over the device: begun, finished, and tried again in halves where memory ran out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NoReturn, Protocol

import numpy as np

from embedder_service.images import Pixels
from embedder_service.pace import Pace
from embedder_service.pending import ForwardFailed, Part, Vectors, Wait
from embedder_service.room import Room
from embedder_service.trouble import DeviceFailed, is_lost, is_out_of_memory
from lookalike_kit import logs

log = logs.get(__name__)

Embed = Callable[[Pixels], Vectors]  # uint8 [n, 3, side, side] -> float32 [n, d]
# The same, begun: what it answers waits for the vectors.
Launch = Callable[[Pixels], Callable[[], Vectors]]

# A pass is stuck after ten times its prediction and `stuck_seconds` more.
STUCK_TIMES = 10.0


class BatchObserver(Protocol):
    """Who is told of every pass, from the model thread."""

    def batch(self, images: int, waits: Sequence[Wait], forward_seconds: float) -> None:
        """`waits` has an entry for each call that had images in it."""

    def trouble(self, kind: str) -> None:
        """A pass brought no vectors: "out_of_memory" or "error"; the device is
        given up: "lost" or "stuck"."""


@dataclass(frozen=True)
class _Flight:
    """A pass that was begun; `land` waits for it."""

    parts: Sequence[Part]
    images: int
    launched: float
    land: Callable[[], Vectors] | None  # None: nobody wants it any more


class Passes:
    """Finished in the order of their beginning. For one thread; any may ask `is_stuck`."""

    def __init__(
        self,
        launch: Launch,
        pace: Pace,
        observer: BatchObserver,
        clock: Callable[[], float],
        stuck_seconds: float,
    ) -> None:
        self._launch = launch
        self._pace = pace
        self._observer = observer
        self._clock = clock
        self._stuck_seconds = stuck_seconds
        self._room = Room(pace.max_batch, clock)
        self._flights: deque[_Flight] = deque()
        self._landed = clock()
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

    def start(self, parts: Sequence[Part]) -> None:
        """Begins a pass over what is still wanted of the parts."""
        self._flights.append(self._launched(parts))

    def finish(self) -> None:
        """Settles the parts of the pass that was begun first.

        Where memory runs out the batch goes in halves; an image that does not fit alone fails
        alone. Any other error fails its calls, and in two batches in a row it is the device's.
        Raises DeviceFailed when the device is of no more use.
        """
        rest: list[list[Part]] = []
        failed = came_back = False
        flight: _Flight | None = self._flights.popleft()
        while flight is not None:
            error = self._land(flight, flight.land) if flight.land else None
            if error is None:
                came_back = came_back or bool(flight.parts)
            elif is_out_of_memory(error) and flight.images > 1:
                self._room.ran_out(flight.images)
                rest.extend(reversed(_halves(flight.parts, flight.images)))
            elif is_lost(error) or (self._last_batch_failed and not came_back):
                raise DeviceFailed(f"the device has failed and this replica ends: {error}")
            else:
                _fail(flight.parts, error)
                failed = True
            flight = self._launched(rest.pop()) if rest else None
        self._last_batch_failed = failed and not came_back

    def _launched(self, parts: Sequence[Part]) -> _Flight:
        now = self._clock()
        wanted = [part for part in parts if part.call.still_wanted(now)]
        pixels = [image for part in wanted for image in part.images]
        if not wanted:
            return _Flight((), 0, now, None)
        self._watch(len(pixels))
        try:
            land = self._launch(_stacked(pixels))
        except Exception as error:  # noqa: BLE001 - told when it is to land
            land = partial(_raise, error)
        return _Flight(wanted, len(pixels), now, land)

    def _land(self, flight: _Flight, land: Callable[[], Vectors]) -> Exception | None:
        """The error, without the frames: they would hold the device's memory during a retry."""
        # Behind another it waited for that one, though not in our line.
        began = max(flight.launched, self._landed)
        try:
            vectors = land()
            if len(vectors) != flight.images:
                raise ValueError(f"{len(vectors)} vectors for {flight.images} images")
        except Exception as error:  # noqa: BLE001 - whatever it is, the thread outlives it
            self._report(error, flight.images)
            return error.with_traceback(None)
        finally:
            self._landed = self._clock()
            self._watch(0)
        self._settle(_later(flight.parts, began - flight.launched), vectors, self._landed - began)
        # With the settling, which keeps the device waiting when many threads want to go on.
        self._pace.observe(flight.images, self._clock() - began)
        return None

    def _watch(self, more: int) -> None:
        """What is in flight, and so many images more, are to be done from now on."""
        images = more + sum(flight.images for flight in self._flights)
        seconds = STUCK_TIMES * self._pace.predict(images) + self._stuck_seconds
        self._stuck_at = self._clock() + seconds if images else None

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


def _later(parts: Sequence[Part], seconds: float) -> Sequence[Part]:
    if not seconds:
        return parts
    return [replace(part, queued_seconds=part.queued_seconds + seconds) for part in parts]


def _raise(error: Exception) -> NoReturn:
    raise error


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
