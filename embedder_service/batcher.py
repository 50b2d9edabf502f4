"""Images of many calls -> the batches of one device.

One thread owns the model. Whenever the device is free it takes what waits, up to `max_batch`, and
never waits for more: under load batches fill by themselves, and a lone image goes at once. A device
that can be handed a second batch while it computes is, if that one is full when it is looked at:
before and after each landing. One that is not may grow until the device is free.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from types import TracebackType

from embedder_service.images import Pixels
from embedder_service.lines import Lines
from embedder_service.pace import Pace
from embedder_service.passes import BatchObserver, Embed, Launch, Passes
from embedder_service.pending import Embedded, Part, PendingCall
from embedder_service.trouble import DeviceFailed
from lookalike_kit import logs
from lookalike_kit.errors import ServiceError, ShuttingDown

log = logs.get(__name__)

# A wait takes a little longer than its passes: a promise that is broken by a millisecond wastes its
# place on the device. benchmarks/embed_overload.py shows the goodput.
MARGIN = 1.1
_LOOK_SECONDS = 0.25


class Batcher:
    """Bounded, online before bulk, no timer; every future is settled exactly once.

    `launch` begins what `embed` does, and is used in its place: two batches are in flight then.
    `deadline` and `clock` are seconds of the same monotonic clock. After `give_up` a call's images
    that have not reached the device never will. When the device fails for good, or is stuck for
    `stuck_seconds` more than ten times the prediction, every call ends in DeviceFailed and
    `on_lost` is called, once, on whichever thread saw it.
    """

    def __init__(
        self,
        embed: Embed,
        pace: Pace,
        max_queue_images: int,
        observer: BatchObserver,
        clock: Callable[[], float] = time.monotonic,
        stuck_seconds: float = 30.0,
        on_lost: Callable[[], object] = lambda: None,
        launch: Launch | None = None,
    ) -> None:
        self._pace = pace
        self._observer = observer
        self._clock = clock
        self._on_lost = on_lost
        self._most_in_flight = 2 if launch else 1
        # Without one it is done by whoever waits for it.
        launched = launch or (lambda pixels: partial(embed, pixels))
        self._passes = Passes(launched, pace, observer, clock, stuck_seconds)
        self._changed = threading.Condition()  # its lock is reentrant
        self._lines = Lines(pace, max_queue_images)
        self._device_free_at: float | None = None  # None: it is free
        self._in_flight: deque[Sequence[Part]] = deque()
        self._ended: ServiceError | None = None  # what calls are told from then on
        self._done = threading.Event()  # nothing is on the device, and nothing will be
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)
        self._watch = threading.Thread(target=self._run_watch, name="model-watch", daemon=True)

    def start(self) -> None:
        """Starts the model thread and the one that watches it."""
        self._thread.start()
        self._watch.start()

    def stop(self) -> None:
        """Refuses what waits and what comes, finishes what is on the device, ends the threads.

        A thread that is stuck on the device is left behind.
        """
        self._end(ShuttingDown("the embedder is stopping; another replica takes the call"))
        if self._thread.is_alive():
            self._done.wait()
            self._watch.join()
        if self._thread.is_alive() and not self._passes.is_stuck:
            self._thread.join()

    def submit(
        self, images: Sequence[Pixels], deadline: float | None = None, bulk: bool = False
    ) -> Future[Embedded]:
        """Queues one call's images (at least one, uint8 [3, side, side]).

        Raises Overloaded, DeadlineTooShort, ShuttingDown or DeviceFailed at once; the future may
        end in any but the first, or in ForwardFailed.
        """
        with self.reserve(len(images), deadline, bulk) as places:
            return places.submit(images)

    def reserve(
        self,
        images: int,
        deadline: float | None = None,
        bulk: bool = False,
        reading_seconds: float = 0.0,
    ) -> Places:
        """Places for images that take `reading_seconds` to read: what was read has its turn.

        Raises what `submit` does. The end of its `with` gives back places that were not used.
        """
        with self._changed:
            self._refuse_if_ended()
            self._lines.refuse_if_full(images, bulk)
            if deadline is not None:
                now = self._clock()
                seconds = self._seconds_until_done(images, bulk, reading_seconds, now)
                self._lines.refuse_if_late(images, seconds, deadline - now)
            self._lines.reserve(images, bulk)
        return Places(self, images, deadline, bulk)

    def waiting(self, bulk: bool) -> int:
        """Images that wait for the device."""
        with self._changed:
            return self._lines.waiting(bulk)

    def forward_waiting(self) -> None:
        """Takes what waits to the device, if anything does and it may go, and one batch back.

        The model thread does nothing else; without `start`, a caller may.
        """
        try:
            while parts := self._take():
                self._passes.start(parts)
            if self._in_flight:
                self._passes.finish()
                self._landed()
        except DeviceFailed as error:
            self._lose("lost", error)
        except Exception:  # a thread that ended here would leave every call waiting
            log.exception("fault")
            self._lose("lost", DeviceFailed("this replica has failed and ends"))

    def end_if_stuck(self) -> None:
        """Gives the device up if it has not come back in time."""
        if self._passes.is_stuck:
            self._lose("stuck", DeviceFailed("the device is stuck and this replica ends"))

    def _fill(self, places: Places, images: Sequence[Pixels]) -> Future[Embedded]:
        with self._changed:
            self._refuse_if_ended()
            call = PendingCall(images, places.deadline, self._clock(), places.bulk, places.future)
            self._lines.add(call, places.bulk)
            places.close()
            self._changed.notify()
        return places.future

    def _give_back(self, places: Places) -> None:
        with self._changed:  # a caller may leave at the moment in which they are filled
            self._lines.reserve(-places.images, places.bulk)
            places.images = 0

    def _refuse_if_ended(self) -> None:
        if self._ended is not None:
            # It is one error for all: with its traceback it would keep every refused call's frames.
            raise self._ended.with_traceback(None)

    def _seconds_until_done(
        self, images: int, bulk: bool, reading_seconds: float, now: float
    ) -> float:
        ahead = self._lines.ahead(bulk)
        alone = reading_seconds + self._pace.predict_idle(images)
        if self._device_free_at is None and not ahead:
            return alone
        on_device = max(0.0, (self._device_free_at or now) - now)
        return max(alone, on_device + MARGIN * self._pace.predict(ahead + images))

    def _run(self) -> None:
        while self._wait():
            self.forward_waiting()
        self._done.set()

    def _run_watch(self) -> None:
        while not self._done.wait(_LOOK_SECONDS):
            self.end_if_stuck()

    def _wait(self) -> bool:
        """Blocks until there is something to do; False when the batcher has ended."""
        with self._changed:
            while self._ended is None and not self._lines and not self._in_flight:
                self._device_free_at = None
                self._changed.wait()
            return self._ended is None or bool(self._in_flight)

    def _take(self) -> list[Part]:
        with self._changed:
            now = starts = self._clock()
            if self._in_flight:
                if not self._may_go_early():
                    return []
                starts = max(now, self._device_free_at or now)
            parts = self._lines.take(self._passes.room, now, starts)
            if parts:
                self._in_flight.append(parts)
                self._device_free_at = starts + self._seconds(parts)
            elif not self._in_flight:
                self._device_free_at = None
            return parts

    def _may_go_early(self) -> bool:
        return len(self._in_flight) < self._most_in_flight and self._lines.fill(self._passes.room)

    def _landed(self) -> None:
        with self._changed:
            if self._in_flight:  # it was not given up meanwhile
                self._in_flight.popleft()
            self._device_free_at = self._clock() + sum(map(self._seconds, self._in_flight))

    def _seconds(self, parts: Sequence[Part]) -> float:
        return self._pace.predict(sum(len(part.images) for part in parts))

    def _lose(self, kind: str, error: DeviceFailed) -> None:
        if self._end(error):
            self._observer.trouble(kind)
            log.error("device_lost", kind=kind, error=error.message)
            with self._changed:
                in_flight = [part for parts in self._in_flight for part in parts]
                self._in_flight.clear()
            for part in in_flight:
                part.call.fail(error)
            self._done.set()
            self._on_lost()

    def _end(self, error: ServiceError) -> bool:
        """From now on calls are told this; a device that fails has the last word."""
        with self._changed:
            if isinstance(self._ended, DeviceFailed) or (
                self._ended and not isinstance(error, DeviceFailed)
            ):
                return False
            self._ended = error
            self._lines.fail_all(error)
            self._changed.notify()
            return True


class Places:
    """Room in a line for one call's images, as long as its `with` lasts or until they are there.

    `future` is what becomes of them, for who waits before they are there; `images`, how many are
    reserved still.
    """

    def __init__(self, batcher: Batcher, images: int, deadline: float | None, bulk: bool) -> None:
        self.future: Future[Embedded] = Future()
        self._batcher = batcher
        self.images = images
        self.deadline = deadline
        self.bulk = bulk

    def submit(self, images: Sequence[Pixels]) -> Future[Embedded]:
        """Queues at most as many images (at least one, uint8 [3, side, side]); once.

        Raises ShuttingDown or DeviceFailed.
        """
        return self._batcher._fill(self, images)

    def close(self) -> None:
        """Gives the places back, if they were not used."""
        if self.images:
            self._batcher._give_back(self)

    def __enter__(self) -> Places:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
