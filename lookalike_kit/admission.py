"""How many calls may be here at once: those with a thread, and a few that wait for one.

The pool counts, because only it sees every call come and go: one that expires while it waits never
reaches an interceptor. A refusal must not wait behind the calls that caused it, so it has a thread
of its own.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NoReturn, ParamSpec, TypeVar

import grpc

from lookalike_kit import calls
from lookalike_kit.errors import Overloaded
from lookalike_kit.interceptors import Continuation, Handler

P = ParamSpec("P")
R = TypeVar("R")

# Spread, or all that were refused together come back together.
RETRY_AFTER_SECONDS = (0.05, 0.25)


class AdmissionPool(ThreadPoolExecutor):
    """A grpc.server's threads, which count the calls that run or wait and measure each wait."""

    def __init__(
        self, threads: int, max_waiting: int, observe_wait: Callable[[float], object]
    ) -> None:
        super().__init__(threads, thread_name_prefix="call")
        self.limit = threads + max_waiting
        self._max_waiting = max_waiting
        self._observe_wait = observe_wait
        self._lock = threading.Lock()
        self._in_flight = 0

    @property
    def in_flight(self) -> int:
        """Calls that run or wait for a thread."""
        return self._in_flight

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        self._count(1)
        try:
            return super().submit(self._run, time.perf_counter(), fn, *args, **kwargs)
        except RuntimeError:  # shut down
            self._count(-1)
            raise

    def _run(self, submitted: float, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        waited = time.perf_counter() - submitted
        self._observe_wait(waited)
        calls.admitted(round(waited * 1e6), self._pressure())
        try:
            return fn(*args, **kwargs)
        finally:
            self._count(-1)

    def _pressure(self) -> float:
        """The share of the places to wait in that are taken; 0 where there are none."""
        if not self._max_waiting:
            return 0.0
        running = self.limit - self._max_waiting
        return min(1.0, max(0, self._in_flight - running) / self._max_waiting)

    def _count(self, change: int) -> None:
        with self._lock:
            self._in_flight += change


class AdmissionInterceptor(grpc.ServerInterceptor):
    """Refuses with Overloaded what comes when the pool is at its limit. The innermost interceptor.

    grpc.server asks its interceptors and submits the call on the same thread, so nothing comes
    between the look at the count and its change.
    """

    def __init__(self, pool: AdmissionPool, count_refused: Callable[[], object]) -> None:
        self._pool = pool
        self._count_refused = count_refused
        self._refuser = ThreadPoolExecutor(1, thread_name_prefix="refusal")

    def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler | None:
        handler = continuation(handler_call_details)
        if handler is None or handler.response_streaming or self._pool.in_flight < self._pool.limit:
            return handler
        self._count_refused()
        return self._refusal()

    def close(self) -> None:
        """Ends the refusing thread."""
        self._refuser.shutdown(wait=False)

    def _refusal(self) -> Handler:
        def refuse(_: Iterator[Any], __: grpc.ServicerContext) -> NoReturn:
            raise Overloaded(
                f"calls at once: expected at most {self._pool.limit}, got more",
                retry_after_seconds=random.uniform(*RETRY_AFTER_SECONDS),
            )

        # grpc looks for this attribute; it is not stable API, so the tests pin it.
        refuse.experimental_thread_pool = self._refuser  # type: ignore[attr-defined]
        # A stream of requests is not read before the handler runs: a refusal must not wait for the
        # body of a slow sender. On the wire there is no difference.
        return grpc.stream_unary_rpc_method_handler(refuse)
