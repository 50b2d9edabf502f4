"""How many calls may be here at once: those that run, a few that wait, some that still arrive.

A call is read first: a thread waits for its message, which a slow sender may take for ever to send.
Then it waits for a place, and then it runs. Only so many wait and run; what comes beyond is refused
on a thread of its own, so that a refusal never waits behind the calls that caused it. A call that
is read takes no place from anybody: where too many are, the one that began first is cancelled.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import Any, Protocol

import grpc

from lookalike_kit import calls, logs
from lookalike_kit.errors import (
    RETRY_AFTER_SECONDS,
    CallerGone,
    InvalidField,
    Overloaded,
)
from lookalike_kit.interceptors import Behaviour, Continuation, Handler
from lookalike_kit.places import Places
from lookalike_kit.refusals import Refuser

log = logs.get(__name__)

# More than the 100 calls that a connection may carry, which may all come at once: with 64, 10 to 44
# of 6,000 calls, 100 at once, were cancelled. Each may hold a message of the most bytes.
MAX_READING = 128


class Observer(Protocol):
    """What a pool says of its calls; lookalike_kit.metrics has one."""

    def waited(self, seconds: float) -> None: ...
    def refused(self) -> None: ...
    def cut_off(self) -> None: ...


class Unobserved:
    """Where nobody asks."""

    def waited(self, seconds: float) -> None: ...
    def refused(self) -> None: ...
    def cut_off(self) -> None: ...


class Carried:
    """A call that has a thread, or will have one: what grpc.server asks of a future."""

    __slots__ = ("_callbacks", "_has_ended")

    def __init__(self) -> None:
        self._has_ended = False
        self._callbacks: list[Callable[[Carried], object]] = []

    def add_done_callback(self, callback: Callable[[Carried], object]) -> None:
        self._callbacks.append(callback)
        if self._has_ended:
            self._tell()

    def end(self) -> None:
        """Once."""
        self._has_ended = True
        self._tell()

    def _tell(self) -> None:
        # On two threads at a time, and each callback once: taking one needs no lock.
        while self._callbacks:
            with suppress(IndexError):
                self._callbacks.pop()(self)


class AdmissionPool:
    """A grpc.server's threads, and the places of the calls that they carry.

    It is what the server asks of a ThreadPoolExecutor, which makes of each call a future with a
    condition and counts idle threads by a semaphore: 25 us of the 180 that an echo took.
    """

    def __init__(self, running: int, max_waiting: int, observer: Observer) -> None:
        self.limit = running + max_waiting
        self._most_threads = self.limit + MAX_READING
        self._threads: list[threading.Thread] = []
        self._submitted: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._closed = False
        self._places = Places(running, max_waiting)
        self._observer = observer
        self._lock = threading.Lock()
        self._calls = 0
        self._reading: dict[int, grpc.ServicerContext] = {}  # by thread, as they began
        self._here = threading.local()

    @property
    def in_flight(self) -> int:
        """Calls that run or wait for a place."""
        return self._calls - len(self._reading)

    @property
    def reading(self) -> int:
        """Calls whose message is on its way."""
        return len(self._reading)

    def submit(self, fn: Callable[..., object], /, *args: Any, **kwargs: Any) -> Carried:
        """Raises RuntimeError after `close`, and where not even one thread can be had."""
        carried = Carried()
        with self._lock:
            if self._closed:
                raise RuntimeError("the pool is closed")
            if len(self._threads) <= min(self._calls, self._most_threads - 1):
                self._begin_thread()
            self._calls += 1
            self._submitted.put(partial(self._run, carried, time.perf_counter(), fn, args, kwargs))
        return carried

    def close(self) -> None:
        """Takes no calls any more; threads end with those they have."""
        with self._lock:
            self._closed = True
            for _ in self._threads:
                self._submitted.put(None)

    def join(self) -> None:
        """After `close`: until no thread is left."""
        for thread in self._threads:
            thread.join()

    def read(self, messages: Iterator[Any], context: grpc.ServicerContext) -> Any:
        """The call's message, once it is there. Raises CallerGone, InvalidField."""
        me = threading.get_ident()
        with self._lock:
            self._reading[me] = context
            oldest = next(iter(self._reading.values()))
            is_one_too_many = len(self._reading) > MAX_READING
        if is_one_too_many:
            self._observer.cut_off()
            oldest.cancel()
        try:
            return next(messages)
        except StopIteration:
            raise InvalidField("request", "a message", "none") from None
        except grpc.RpcError as error:
            # gRPC keeps it with the call, which its frames know: see StatusInterceptor.
            error.__traceback__ = None
            raise CallerGone("the caller is gone") from None
        finally:
            with self._lock:
                del self._reading[me]

    def enter(self, context: grpc.ServicerContext) -> None:
        """Takes a place for the caller (calls.caller); `leave` gives it back.

        Raises Overloaded at once where as many as may are waiting, CallerGone.
        """
        began = time.perf_counter()
        left = context.time_remaining()
        if not self._places.take(calls.caller(), threading.TIMEOUT_MAX if left is None else left):
            raise self.overloaded()
        waited = self._here.waited + time.perf_counter() - began
        self._observer.waited(waited)
        calls.admitted(round(waited * 1e6), self._places.pressure)
        if not context.is_active():
            self.leave()
            raise CallerGone("the caller is gone")

    def leave(self) -> None:
        self._places.leave(calls.caller())

    def overloaded(self) -> Overloaded:
        """What a call is told that there is no room for."""
        self._observer.refused()
        return Overloaded(
            f"calls at once: expected at most {self.limit}, got more",
            retry_after_seconds=random.uniform(*RETRY_AFTER_SECONDS),
        )

    def _begin_thread(self) -> None:
        name = f"call_{len(self._threads)}"
        thread = threading.Thread(target=self._carry, name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            if not self._threads:
                raise
            log.warning("no_thread", threads=len(self._threads), error=str(error))
        else:
            self._threads.append(thread)

    def _carry(self) -> None:
        while (run := self._submitted.get()) is not None:
            run()
            del run  # or a thread that waits would keep its last call

    def _run(
        self,
        carried: Carried,
        submitted: float,
        fn: Callable[..., object],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        self._here.waited = time.perf_counter() - submitted
        try:
            fn(*args, **kwargs)
        except BaseException:  # gRPC says what handlers raise; the thread outlives all else
            log.exception("fault")
        finally:
            with self._lock:
                self._calls -= 1
            carried.end()


class AdmissionInterceptor(grpc.ServerInterceptor):
    """Reads calls and runs them in the pool's places, or refuses them. The innermost interceptor.

    Calls whose method begins as one of `unbounded` are read like others but need no place.
    """

    def __init__(
        self, pool: AdmissionPool, refuser: Refuser, unbounded: Sequence[str] = ()
    ) -> None:
        self._pool = pool
        self._refuser = refuser
        self._unbounded = tuple(unbounded)

    def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler | None:
        handler = continuation(handler_call_details)
        if handler is None or handler.response_streaming or handler.unary_unary is None:
            return handler
        if handler_call_details.method.startswith(self._unbounded):
            return self._read(handler, handler.unary_unary)
        # grpc.server asks its interceptors and submits the call on the same thread, so nothing
        # comes between this look at the count and its change.
        if self._pool.in_flight >= self._pool.limit:
            return self._refuser.refusing(self._pool.overloaded())
        return self._read(handler, self._placed(handler.unary_unary))

    def _placed(self, behaviour: Behaviour) -> Behaviour:
        def placed(request: Any, context: grpc.ServicerContext) -> Any:
            self._pool.enter(context)
            try:
                return behaviour(request, context)
            finally:
                self._pool.leave()

        return placed

    def _read(self, handler: Handler, behaviour: Behaviour) -> Handler:
        def read(messages: Iterator[Any], context: grpc.ServicerContext) -> Any:
            return behaviour(self._pool.read(messages, context), context)

        # A stream of messages is not read before the handler runs, so that it may be read here. On
        # the wire there is no difference.
        return grpc.stream_unary_rpc_method_handler(
            read, handler.request_deserializer, handler.response_serializer
        )
