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
_Left = tuple[int, Photo, ImageHeader]  # which of its call's it is


class Reader:
    """Decodes `at_once` images at a time, and one large one beside them, on threads of its own.

    More than cores would only take memory. Calls go by turns, an image each, online before bulk; a
    call that is alone has all threads.
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
        self._waiting = {False: _Waiting(), True: _Waiting()}  # by whether they are bulk
        self._mean_seconds = 0.0
        self._turns = Turns("decode", at_once)
        self._large_turns = Turns("decode", 1)

    def seconds_until_read(self, photos: int, bulk: bool = False) -> float:
        """Until so many photos of a call that came now would be read.

        0 where none is before it: it tries, however slow the last ones were.
        """
        before = [self._waiting[False], *([self._waiting[True]] if bulk else [])]
        # Of each call before it, as many go first as it has itself.
        ahead = sum(min(each.photos, each.calls * photos) for each in before)
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
                reading.left.append((len(reading.squares), photo, header))
                reading.squares.append([])
        self._count(reading)
        if reading.left:
            self._put(reading, reading.left[0])
        else:
            reading.future.set_result(reading.squares)
        return reading.future

    def stop(self) -> None:
        """The threads end; every call that is being read ends before."""
        self._turns.stop()
        self._large_turns.stop()

    def _put(self, reading: _Reading, following: _Left) -> None:
        """In line for the photo that follows; it stands there once at most."""
        _, photo, header = following
        turns = self._large_turns if _is_large(photo, header) else self._turns
        try:
            turns.put(calls.carried(lambda: self._take_turn(reading)), reading.bulk)
        except ShuttingDown as error:
            self._end(reading, error)

    def _take_turn(self, reading: _Reading) -> None:
        with self._lock:
            if not reading.left:  # it has failed meanwhile
                return
            at, photo, header = reading.left.popleft()
            reading.running += 1
            following = reading.left[0] if reading.left else None
        if following:  # in line before this one is read: a thread that is free need not wait
            self._put(reading, following)
        try:
            calls.check_caller()
            reading.squares[at] = self._read_one(photo, header)
        except Exception as error:  # noqa: BLE001 - the call's own thread raises it
            self._end(reading, error)
        finally:
            self._leave(reading)

    def _leave(self, reading: _Reading) -> None:
        """The last one to be read has the whole answered."""
        with self._lock:
            reading.running -= 1
            is_last = not (reading.left or reading.running or reading.has_failed)
        self._count(reading)
        if is_last:
            reading.future.set_result(reading.squares)

    def _end(self, reading: _Reading, error: Exception) -> None:
        """Nothing more of it is begun."""
        with self._lock:
            is_first, reading.has_failed = not reading.has_failed, True
            reading.left.clear()
        self._count(reading)
        if is_first:
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

    def _count(self, reading: _Reading) -> None:
        with self._lock:
            waiting, photos = self._waiting[reading.bulk], len(reading.left) + reading.running
            waiting.photos += photos - reading.counted
            waiting.calls += bool(photos) - bool(reading.counted)
            reading.counted = photos


@dataclass
class _Waiting:
    """Photos that are not read yet, and the calls that they are of."""

    photos: int = 0
    calls: int = 0


class _Reading:
    """One call's photos: what became of each, and those that are still to be read."""

    def __init__(self, bulk: bool) -> None:
        self.bulk = bulk
        self.counted = 0  # of its photos, as waiting
        self.running = 0
        self.has_failed = False
        self.squares: list[Squares] = []
        self.left: deque[_Left] = deque()
        self.future: Future[list[Squares]] = Future()


def _bare(error: ServiceError) -> ServiceError:
    """Without the frames it came through, which hold the picture: 200 MB each in a call of many."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def _is_large(photo: Photo, header: ImageHeader) -> bool:
    # A JPEG of one scan is decoded small, unless a region needs it large.
    shrinks = header.format == "JPEG" and header.scans == 1 and not photo.regions
    return header.pixels > LARGE_PIXELS and not shrinks
