"""The images of many calls, decoded by as many decoders as there are cores; each fails alone."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from embedder_service import images
from embedder_service.decoder import (
    LARGE_PIXELS,
    MOST_TOGETHER,
    Decoded,
    Decoder,
    DecodersLost,
    EndsDecoders,
    Job,
    Squares,
    bare,
)
from embedder_service.images import Limits, Photo
from embedder_service.trouble import DeviceFailed
from embedder_service.turns import Turns
from lookalike_kit import calls, logs
from lookalike_kit.errors import ServiceError, ShuttingDown

log = logs.get(__name__)

_WEIGHT = 0.05
# Images are handed to a decoder together, where many wait: a wake-up costs 10 to 50 us of two
# threads. The first of them waits for the last.
_TOGETHER_SECONDS = 0.005
ALONE_PIXELS = 1_000_000  # and those above go by themselves


class Observer(Protocol):
    """Who is told of every image, on a thread that works for its call."""

    def waited_to_decode(self, bulk: bool, seconds: float) -> None:
        """Its turn has come so long after it was the next of its call."""

    def decoded(self, seconds: float) -> None:
        """It was decoded in so many seconds."""


class Reader:
    """A thread for each decoder, the last of which has the large pictures, one at a time.

    More than cores would only take memory. Calls go by turns, an image each, online before bulk; a
    call that is alone has all decoders, but for large ones.
    """

    def __init__(self, limits: Limits, decoders: Sequence[Decoder], observer: Observer) -> None:
        self._limits = limits
        self._at_once = len(decoders) - 1
        self._observer = observer
        self._lock = threading.Lock()
        self._readings: dict[bool, set[_Reading]] = {False: set(), True: set()}  # by bulk or not
        self._mean_seconds = 0.0
        works = [partial(self._take_turns, decoder) for decoder in decoders]
        self._turns = Turns("decode", works[:-1], self._most_together)
        self._large_turns = Turns("decode", works[-1:])

    def seconds_until_read(self, photos: int, bulk: bool = False) -> float:
        """Until so many photos of a call that came now would be read.

        0 where none is before it: it tries, however slow the last ones were.
        """
        with self._lock:
            # Of each call of its kind as many go first as it has itself; online all before bulk.
            # With one image that is each open call's next, without a look at all of them.
            same = self._readings[bulk]
            ahead = len(same) if photos == 1 else sum(min(each.waiting, photos) for each in same)
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
                reading.squares.append(bare(error))
            else:
                reading.unread.append((len(reading.squares), Job(photo, header)))
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

    def _most_together(self) -> int:
        return min(MOST_TOGETHER, max(1, int(_TOGETHER_SECONDS / max(self._mean_seconds, 1e-6))))

    def _put(self, reading: _Reading) -> None:
        """In line for its next photo, if it has one; it stands there once at most."""
        with self._lock:
            if not reading.unread:
                return
            _, job = reading.unread[0]
            reading.put_at = time.perf_counter()
        turns = self._large_turns if _is_large(job) else self._turns
        alone = job.header.pixels * job.header.scans > ALONE_PIXELS
        turns.put(reading, reading.bulk, alone)

    def _take_turns(self, decoder: Decoder, readings: Sequence[_Reading]) -> None:
        """Of each its next photo."""
        begun = [reading.as_call(partial(self._begin, reading)) for reading in readings]
        turns = [turn for turn in begun if turn is not None]
        if not turns:
            return
        try:
            decoded = decoder.decode([turn.job for turn in turns])
        except Exception as error:  # noqa: BLE001 - the thread outlives it
            for turn in turns:  # an error of its own each, with no frames that hold the others
                own = DeviceFailed if isinstance(error, DecodersLost) else type(error)
                self._fail(turn.reading, own(str(error)))
                self._done_with_one(turn.reading)
            return
        for turn, each in zip(turns, decoded, strict=True):
            turn.reading.as_call(partial(self._end, turn, each))

    def _begin(self, reading: _Reading) -> _Turn | None:
        """None: it has failed."""
        with self._lock:
            if not reading.unread:
                return None
            at, job = reading.unread.popleft()
            reading.running += 1
            waited = time.perf_counter() - reading.put_at
        try:
            self._observer.waited_to_decode(reading.bulk, waited)
            self._put(reading)  # first: a thread that is free need not wait for this photo
            calls.check_caller()
        except Exception as error:  # noqa: BLE001 - the call's own thread raises it
            self._fail(reading, error)
            self._done_with_one(reading)
            return None
        return _Turn(reading, at, job)

    def _end(self, turn: _Turn, decoded: Decoded) -> None:
        reading = turn.reading
        try:
            if isinstance(decoded.squares, MemoryError):
                raise decoded.squares
            if isinstance(decoded.squares, EndsDecoders):
                self._tell(turn.job)
            reading.squares[turn.at] = decoded.squares
            if isinstance(decoded.squares, list):
                self._count(decoded.seconds)
        except Exception as error:  # noqa: BLE001 - the call's own thread raises it
            self._fail(reading, error)
        self._done_with_one(reading)

    def _tell(self, job: Job) -> None:
        """Whoever is on call looks for the file."""
        log.error(
            "file_ended_decoders",
            request_id=calls.request_id(),
            caller=calls.caller(),
            format=job.header.format,
            bytes=len(job.photo.content),
        )

    def _count(self, seconds: float) -> None:
        with self._lock:
            self._mean_seconds += _WEIGHT * (seconds - self._mean_seconds)
        self._observer.decoded(seconds)

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


class _Reading:
    """One call's photos: what became of each, and those that are still to be read."""

    def __init__(self, bulk: bool) -> None:
        self.bulk = bulk
        self.squares: list[Squares] = []
        # Each with its place among them.
        self.unread: deque[tuple[int, Job]] = deque()
        self.running = 0
        self.put_at = 0.0  # in line for the next one
        self.future: Future[list[Squares]] = Future()
        self.as_call = calls.carrier()

    @property
    def waiting(self) -> int:
        """How many are not read yet."""
        return len(self.unread) + self.running


@dataclass(frozen=True)
class _Turn:
    """One photo of a call, and its place there."""

    reading: _Reading
    at: int
    job: Job


def _is_large(job: Job) -> bool:
    # A JPEG of one scan is decoded small, unless a region needs it large.
    header = job.header
    shrinks = header.format == "JPEG" and header.scans == 1 and not job.photo.regions
    return header.pixels > LARGE_PIXELS and not shrinks
