"""The images of one call, decoded on the call's own thread; each fails alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from embedder_service import images
from embedder_service.image_header import ImageHeader
from embedder_service.images import Limits, Pixels, Region
from embedder_service.spec import Preprocessing
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


class Reader:
    """Decodes at most `at_once` images at a time: more than cores would only take memory."""

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
        self._free = threading.Semaphore(at_once)
        self._large_free = threading.Semaphore(1)
        self._observe_seconds = observe_seconds
        self._lock = threading.Lock()
        self._waiting = 0
        self._mean_seconds = 0.0

    def seconds_until_read(self, photos: int) -> float:
        """Until so many photos of a call that came now would be read.

        0 where none waits: it tries, however slow the last ones were.
        """
        if not self._waiting:
            return 0.0
        return (self._waiting / self._at_once + photos) * self._mean_seconds

    def read(self, photos: Sequence[Photo]) -> list[list[Pixels] | ServiceError]:
        """For each photo its squares, or why it has none.

        Raises CallerGone as soon as nobody waits for them any more.
        """
        left = len(photos)
        self._count(left)
        try:
            read = []
            for photo in photos:
                read.append(self._read_one(photo))
                left -= 1
                self._count(-1)
            return read
        finally:
            self._count(-left)

    def _read_one(self, photo: Photo) -> list[Pixels] | ServiceError:
        try:
            header = images.check(photo.content, self._limits)  # bombs never wait for their turn
        except ServiceError as error:
            return error
        with self._turn(photo, header):
            calls.check_caller()
            try:
                return self._decode(photo, header)
            except ServiceError as error:
                return error

    @contextmanager
    def _turn(self, photo: Photo, header: ImageHeader) -> Iterator[None]:
        # A JPEG of one scan is decoded small, unless a region needs it large.
        shrinks = header.format == "JPEG" and header.scans == 1 and not photo.regions
        if header.pixels <= LARGE_PIXELS or shrinks:
            with self._free:
                yield
        else:
            with self._large_free, self._free:
                yield

    def _decode(self, photo: Photo, header: ImageHeader) -> list[Pixels]:
        began = time.perf_counter()
        squares = images.decode(photo.content, header, self._preprocessing, photo.regions)
        seconds = time.perf_counter() - began
        with self._lock:
            self._mean_seconds += _WEIGHT * (seconds - self._mean_seconds)
        self._observe_seconds(seconds)
        return squares

    def _count(self, change: int) -> None:
        with self._lock:
            self._waiting += change
