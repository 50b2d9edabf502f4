"""Photos of one call -> vectors: admission, decoding, batches. Each face of the service asks it."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import grpc
import numpy as np

from embedder_service.batcher import Batcher, Places
from embedder_service.budget import ByteBudget
from embedder_service.decoder import Squares
from embedder_service.images import Photo, Pixels
from embedder_service.pending import Embedded, Vectors, give_up
from embedder_service.reader import Reader
from lookalike_kit import calls
from lookalike_kit.errors import ServiceError, reason_name

_NOTHING = Embedded(np.empty((0, 0), np.float32), 0.0, 0.0)


def any_may_fail(read: Sequence[Squares]) -> None:
    """Whatever could be read is embedded."""


class Observer(Protocol):
    """Who is told of every image and every call that has its answer."""

    def image(self, result: str) -> None:
        """ "ok", or the reason in lower case."""

    def answered(self, bulk: bool, seconds: float) -> None:
        """A call's vectors are there, so many seconds after it came."""


@dataclass(frozen=True)
class Answer:
    """For each photo its vectors, float32 [squares, d], or why it has none; and the time taken."""

    photos: list[Vectors | ServiceError]
    decode_seconds: float
    queue_seconds: float
    forward_seconds: float


class Pipeline:
    """One replica's."""

    def __init__(
        self,
        reader: Reader,
        batcher: Batcher,
        budget: ByteBudget,
        observer: Observer,
    ) -> None:
        self._reader = reader
        self._batcher = batcher
        self._budget = budget
        self._observer = observer

    def embed(
        self,
        photos: Sequence[Photo],
        bulk: bool,
        context: grpc.ServicerContext,
        accept: Callable[[Sequence[Squares]], None] = any_may_fail,
    ) -> Answer:
        """Answers on the caller's thread, by the call's deadline and as long as it lasts.

        `accept` sees what was read, and may raise to end the call before the device has it.
        Raises Overloaded, DeadlineTooShort, ShuttingDown, DeviceFailed, CallerGone, ForwardFailed.
        """
        came = time.perf_counter() - calls.admission_micros() / 1e6
        squares = sum(photo.squares for photo in photos)
        reading_seconds = self._reader.seconds_until_read(len(photos), bulk)
        with (
            self._budget.hold(sum(len(photo.content) for photo in photos), bulk),
            self._batcher.reserve(squares, _deadline(context), bulk, reading_seconds) as places,
        ):
            way = _Way(places, context, accept)
            self._reader.read(photos, bulk).add_done_callback(way.go_on)
            # Woken once: each time a thread is woken costs as much as 20 us of work.
            try:
                embedded = places.future.result()
            finally:
                self._count_errors(way.read)
        self._observer.answered(bulk, time.perf_counter() - came)
        return Answer(
            photos=list(self._shared_out(way.read, embedded.vectors)),
            decode_seconds=way.decode_seconds,
            queue_seconds=embedded.queue_seconds,
            forward_seconds=embedded.forward_seconds,
        )

    def _count_errors(self, read: Sequence[Squares]) -> None:
        for squares in read:
            if isinstance(squares, ServiceError):
                self._observer.image(reason_name(squares.reason).lower())

    def _shared_out(
        self, read: Sequence[Squares], vectors: Vectors
    ) -> Iterator[Vectors | ServiceError]:
        row = 0
        for squares in read:
            if isinstance(squares, ServiceError):
                yield squares
                continue
            self._observer.image("ok")
            yield vectors[row : row + len(squares)]
            row += len(squares)


class _Way:
    """One call's, from what was read to the device: on the thread that read it."""

    def __init__(
        self,
        places: Places,
        context: grpc.ServicerContext,
        accept: Callable[[Sequence[Squares]], None],
    ) -> None:
        self._places = places
        self._context = context
        self._accept = accept
        self._began = time.perf_counter()
        self.decode_seconds = 0.0
        self.read: list[Squares] = []

    def go_on(self, reading: Future[list[Squares]]) -> None:
        self.decode_seconds = time.perf_counter() - self._began
        try:
            self.read = reading.result()
            self._accept(self.read)
            self._submit(_pixels(self.read))
        except Exception as error:  # noqa: BLE001 - the call's own thread raises it
            with suppress(InvalidStateError):  # the caller gave up
                self._places.future.set_exception(error)

    def _submit(self, pixels: Sequence[Pixels]) -> None:
        if not pixels:
            self._places.future.set_result(_NOTHING)
            return
        # A call lives until its answer is read, which a slow reader puts off: the vectors need not.
        future = weakref.ref(self._places.future)
        if self._context.add_callback(lambda: give_up(future())):
            self._places.submit(pixels)
        else:  # the call has ended
            give_up(future())


def _deadline(context: grpc.ServicerContext) -> float | None:
    """On the batcher's clock."""
    remaining = context.time_remaining()
    return None if remaining is None else time.monotonic() + remaining


def _pixels(read: Sequence[Squares]) -> list[Pixels]:
    return [
        square for squares in read if not isinstance(squares, ServiceError) for square in squares
    ]
