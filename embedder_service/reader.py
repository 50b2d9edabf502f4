"""The images of one call, decoded on the call's own thread; each fails alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from embedder_service import images
from embedder_service.images import Limits, Pixels, Region
from embedder_service.spec import Preprocessing
from lookalike_kit.errors import ServiceError


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
        self._free = threading.Semaphore(at_once)
        self._observe_seconds = observe_seconds

    def read(self, photos: Sequence[Photo]) -> list[list[Pixels] | ServiceError]:
        """For each photo its squares, or why it has none."""
        return [self._read_one(photo) for photo in photos]

    def _read_one(self, photo: Photo) -> list[Pixels] | ServiceError:
        try:
            images.check(photo.content, self._limits)  # the bombs never wait for their turn
            with self._free:
                return self._decode(photo)
        except ServiceError as error:
            return error

    def _decode(self, photo: Photo) -> list[Pixels]:
        began = time.perf_counter()
        squares = images.read(photo.content, self._preprocessing, photo.regions, self._limits)
        self._observe_seconds(time.perf_counter() - began)
        return squares
