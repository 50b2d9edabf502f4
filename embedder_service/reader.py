"""The images of many calls, decoded by as many threads as there are cores; each fails alone."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from embedder_service import images
from embedder_service.image_header import ImageHeader
from embedder_service.images import Limits, Pixels, Region
from embedder_service.spec import Preprocessing
from embedder_service.turns import Turns
from lookalike_kit import calls
from lookalike_kit.errors import ServiceError

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


class Reader:
    """Decodes `at_once` images at a time, and one large one beside them, on threads of its own.

    More than cores would only take memory. Calls go by turns, an image each, online before bulk.
    """

    def __init__(
        self,
        preprocessing: Preprocessing,
        limits: Limits,
        at_once: int,
        observe_seconds: Callable[[float], None],
    ) -> None:
        self._preprocessing = preprocessing
        self._limits = limits
        self._at_once = at_once
        self._observe_seconds = observe_seconds
        self._lock = threading.Lock()
        self._waiting = {False: 0, True: 0}
        self._mean_seconds = 0.0
        self._turns = Turns("decode", at_once)
        self._large_turns = Turns("decode", 1)

    def seconds_until_read(self, photos: int, bulk: bool = False) -> float:
        """Until so many photos of a call that came now would be read.

        0 where none is before it: it tries, however slow the last ones were.
        """
        ahead = self._waiting[False] + (self._waiting[True] if bulk else 0)
        return (ahead / self._at_once + photos) * self._mean_seconds if ahead else 0.0

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
                reading.left.append((len(reading.squares), photo, header))
                reading.squares.append([])
        self._go_on(reading)
        return reading.future

    def stop(self) -> None:
        """The threads end; every call that is being read ends before."""
        self._turns.stop()
        self._large_turns.stop()

    def _go_on(self, reading: _Reading) -> None:
        self._count(reading, len(reading.left))
        if not reading.left:
            reading.future.set_result(reading.squares)
            return
        _, photo, header = reading.left[0]
        turns = self._large_turns if _is_large(photo, header) else self._turns
        turns.put(calls.carried(lambda: self._take_turn(reading)), reading.bulk)

    def _take_turn(self, reading: _Reading) -> None:
        at, photo, header = reading.left.popleft()
        try:
            calls.check_caller()
            reading.squares[at] = self._read_one(photo, header)
            self._go_on(reading)
        except Exception as error:  # noqa: BLE001 - the call's own thread raises it
            self._count(reading, 0)
            reading.future.set_exception(error)

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
        self._observe_seconds(seconds)
        return squares

    def _count(self, reading: _Reading, photos: int) -> None:
        """So many of its photos wait from now on."""
        with self._lock:
            self._waiting[reading.bulk] += photos - reading.waiting
            reading.waiting = photos


class _Reading:
    """One call's photos: what became of each, and those that are still to be read."""

    def __init__(self, bulk: bool) -> None:
        self.bulk = bulk
        self.waiting = 0  # as the reader counts
        self.squares: list[Squares] = []
        self.left: deque[tuple[int, Photo, ImageHeader]] = deque()
        self.future: Future[list[Squares]] = Future()


def _bare(error: ServiceError) -> ServiceError:
    """Without the frames it came through, which hold the picture: 200 MB each in a call of many."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def _is_large(photo: Photo, header: ImageHeader) -> bool:
    # A JPEG of one scan is decoded small, unless a region needs it large.
    shrinks = header.format == "JPEG" and header.scans == 1 and not photo.regions
    return header.pixels > LARGE_PIXELS and not shrinks
