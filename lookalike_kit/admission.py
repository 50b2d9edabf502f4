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
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, Protocol, TypeVar

import grpc

from lookalike_kit import calls
from lookalike_kit.errors import (
    RETRY_AFTER_SECONDS,
    CallerGone,
    InvalidField,
    Overloaded,
)
from lookalike_kit.interceptors import Behaviour, Continuation, Handler
from lookalike_kit.places import Places
from lookalike_kit.refusals import Refuser

P = ParamSpec("P")
R = TypeVar("R")

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


class AdmissionPool(ThreadPoolExecutor):
    """A grpc.server's threads, and the places of the calls that they carry."""

    def __init__(self, running: int, max_waiting: int, observer: Observer) -> None:
        super().__init__(running + max_waiting + MAX_READING, thread_name_prefix="call")
        self.limit = running + max_waiting
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

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        self._count(1)
        try:
            return super().submit(self._run, time.perf_counter(), fn, *args, **kwargs)
        except RuntimeError:  # shut down
            self._count(-1)
            raise

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

    def _run(self, submitted: float, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        self._here.waited = time.perf_counter() - submitted
        try:
            return fn(*args, **kwargs)
        finally:
            self._count(-1)

    def _count(self, change: int) -> None:
        with self._lock:
            self._calls += change


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
