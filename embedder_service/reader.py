"""The images of many calls, decoded by as many threads as there are cores; each fails alone."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from embedder_service import images
from embedder_service.image_header import ImageHeader
from embedder_service.images import Limits, Pixels, Region
from embedder_service.spec import Preprocessing
from embedder_service.squares import square
from embedder_service.turns import Turns
from lookalike_kit import calls
from lookalike_kit.errors import ServiceError, ShuttingDown

# Above this a picture that is decoded in full may take 200 to 600 MB: one at a time.
LARGE_PIXELS = 16_000_000
_WEIGHT = 0.05


@dataclass(frozen=True)
class Photo:
    """One image of a call: a file, and the boxes of it that are asked for (none: all of it)."""

    content: bytes
    regions: tuple[Region, ...] = ()

    @property
    def squares(self) -> int:
        """How many vectors it asks for."""
        return len(self.regions) or 1


Squares = list[Pixels] | ServiceError


class Observer(Protocol):
    """Who is told of every image, on the thread that decodes it."""

    def waited_to_decode(self, bulk: bool, seconds: float) -> None:
        """Its turn has come so long after it was the next of its call."""

    def decoded(self, seconds: float) -> None:
        """It was decoded in so many seconds."""


class Reader:
    """Decodes `at_once` images at a time, and one large one beside them, on threads of its own.

    More than cores would only take memory. Calls go by turns, an image each, online before bulk; a
    call that is alone has all threads, but for large ones.
    """

    def __init__(
        self,
        preprocessing: Preprocessing,
        limits: Limits,
        at_once: int,
        observer: Observer,
    ) -> None:
        self._preprocessing = preprocessing
        # Now, not with the first image: loading what resizes takes seconds.
        square(np.zeros((1, 1, 3), np.uint8), preprocessing)
        self._limits = limits
        self._at_once = at_once
        self._observer = observer
        self._lock = threading.Lock()
        self._readings: dict[bool, set[_Reading]] = {False: set(), True: set()}  # by bulk or not
        self._mean_seconds = 0.0
        self._turns = Turns("decode", at_once)
        self._large_turns = Turns("decode", 1)

    def seconds_until_read(self, photos: int, bulk: bool = False) -> float:
        """Until so many photos of a call that came now would be read.

        0 where none is before it: it tries, however slow the last ones were.
        """
        with self._lock:
            # Of each call of its kind as many go first as it has itself; online all before bulk.
            ahead = sum(min(each.waiting, photos) for each in self._readings[bulk])
            if bulk:
                ahead += sum(each.waiting for each in self._readings[False])
        rounds = max(1.0, (ahead + photos) / self._at_once)
        return rounds * self._mean_seconds if ahead else 0.0

    def read(self, photos: Sequence[Photo], bulk: bool = False) -> Future[list[Squares]]:
        """For each photo its squares, or why it has none.

        Ends in CallerGone at its next turn once nobody waits for the current call any more, and
        after `stop` in ShuttingDown.
        """
        reading = _Reading(bulk)
        for photo in photos:
            try:
                header = images.check(photo.content, self._limits)
            except ServiceError as error:  # bombs never wait for their turn
                reading.squares.append(_bare(error))
            else:
                reading.unread.append((len(reading.squares), photo, header))
                reading.squares.append([])
        if not reading.unread:
            reading.future.set_result(reading.squares)
            return reading.future
        with self._lock:
            self._readings[bulk].add(reading)
        try:
            self._put(reading)
        except ShuttingDown as error:
            self._fail(reading, error)
        return reading.future

    def stop(self) -> None:
        """The threads end; every call that is being read ends before."""
        self._turns.stop()
        self._large_turns.stop()

    def _put(self, reading: _Reading) -> None:
        """In line for its next photo, if it has one; it stands there once at most."""
        with self._lock:
            if not reading.unread:
                return
            _, photo, header = reading.unread[0]
            reading.put_at = time.perf_counter()
        turns = self._large_turns if _is_large(photo, header) else self._turns
        turns.put(calls.carried(lambda: self._take_turn(reading)), reading.bulk)

    def _take_turn(self, reading: _Reading) -> None:
        with self._lock:
            if not reading.unread:  # it has failed meanwhile
                return
            at, photo, header = reading.unread.popleft()
            reading.running += 1
            waited = time.perf_counter() - reading.put_at
        try:
            self._observer.waited_to_decode(reading.bulk, waited)
            self._put(reading)  # first: a thread that is free need not wait for this photo
            calls.check_caller()
            reading.squares[at] = self._read_one(photo, header)
        except Exception as error:  # noqa: BLE001 - the call's own thread raises it
            self._fail(reading, error)
        self._done_with_one(reading)

    def _done_with_one(self, reading: _Reading) -> None:
        """The last one has the whole answered."""
        with self._lock:
            reading.running -= 1
            is_whole = not reading.waiting and self._close(reading)
        if is_whole:
            reading.future.set_result(reading.squares)

    def _fail(self, reading: _Reading, error: Exception) -> None:
        """Nothing more of it is begun."""
        with self._lock:
            reading.unread.clear()
            is_first = self._close(reading)
        if is_first:
            reading.future.set_exception(error)

    def _close(self, reading: _Reading) -> bool:
        """Under the lock: it counts no more. Whether it was open, so that it has no answer yet."""
        readings = self._readings[reading.bulk]
        was_open = reading in readings
        readings.discard(reading)
        return was_open

    def _read_one(self, photo: Photo, header: ImageHeader) -> Squares:
        try:
            return self._decode(photo, header)
        except ServiceError as error:
            return _bare(error)

    def _decode(self, photo: Photo, header: ImageHeader) -> list[Pixels]:
        began = time.perf_counter()
        squares = images.decode(photo.content, header, self._preprocessing, photo.regions)
        seconds = time.perf_counter() - began
        with self._lock:
            self._mean_seconds += _WEIGHT * (seconds - self._mean_seconds)
        self._observer.decoded(seconds)
        return squares


class _Reading:
    """One call's photos: what became of each, and those that are still to be read."""

    def __init__(self, bulk: bool) -> None:
        self.bulk = bulk
        self.squares: list[Squares] = []
        # Each with its place among them.
        self.unread: deque[tuple[int, Photo, ImageHeader]] = deque()
        self.running = 0
        self.put_at = 0.0  # in line for the next one
        self.future: Future[list[Squares]] = Future()

    @property
    def waiting(self) -> int:
        """How many are not read yet."""
        return len(self.unread) + self.running


def _bare(error: ServiceError) -> ServiceError:
    """Without the frames it came through, which hold the picture: 200 MB each in a call of many."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def _is_large(photo: Photo, header: ImageHeader) -> bool:
    # A JPEG of one scan is decoded small, unless a region needs it large.
    shrinks = header.format == "JPEG" and header.scans == 1 and not photo.regions
    return header.pixels > LARGE_PIXELS and not shrinks
