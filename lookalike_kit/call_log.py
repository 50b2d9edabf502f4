"""A call's line in the log, for those calls that are worth one: sampled, slow or failed.

The line has what `lookalike explain` needs and nothing that a caller wrote. A sample is chosen by
the request's id, so that every service that a request passes writes its line or none does.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Any
from zlib import crc32

from lookalike_kit import calls, logs

# Of the slow and the failed: a fleet that refuses a thousand calls a second says so by its metrics.
MAX_LINES_A_SECOND = 10
Metadata = Iterable[tuple[str, str | bytes]]
RETRIES = "grpc-previous-rpc-attempts"  # what gRPC's clients send with a retry

log = logs.get(__name__)


class CallLog:
    """every: one of so many calls is sampled; 0: none. slow_seconds: longer than this is slow."""

    def __init__(
        self, every: int, slow_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._every = every
        self._slow_seconds = slow_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._second = 0
        self._lines = 0
        self._left_out = 0

    def ended(self, method: str, metadata: Metadata, code: str, seconds: float) -> None:
        """The current call ends with the name of a status, so long after it came."""
        why, trace = self._why(code, seconds), calls.trace()
        has_line = why == "sampled" or (why != "" and self._has_room())
        if not (has_line or trace or log.is_on("debug")):
            return
        try:
            facts = _facts(method, metadata, code, seconds)
        except Exception:  # the call itself is done: what is told of it must not fail it
            log.exception("untold", method=method)
            return
        if trace:
            trace.tell(facts)
        if has_line:
            log.info("call", why=why, **self._taken_left_out(), **facts)
        else:
            log.debug("call", **facts)

    def _why(self, code: str, seconds: float) -> str:
        if code != "OK":
            return "failed"
        if seconds > self._slow_seconds:
            return "slow"
        return "sampled" if is_sampled(calls.request_id(), self._every) else ""

    def _has_room(self) -> bool:
        second = int(self._clock())
        with self._lock:
            if second != self._second:
                self._second, self._lines = second, 0
            self._lines += 1
            is_within = self._lines <= MAX_LINES_A_SECOND
            self._left_out += not is_within
            return is_within

    def _taken_left_out(self) -> dict[str, int]:
        """How many lines were left out before this one."""
        with self._lock:
            left_out, self._left_out = self._left_out, 0
        return {"left_out": left_out} if left_out else {}


def is_sampled(request_id: str, every: int) -> bool:
    """Whether the request is one of every so many; the same for all who ask."""
    return every > 0 and crc32(request_id.encode()) % every == 0


def _facts(method: str, metadata: Metadata, code: str, seconds: float) -> dict[str, Any]:
    told = calls.told()
    stages = {"admission": calls.admission_micros(), **told.pop("stage_micros", {})}
    return {
        "method": method,
        "code": code,
        "attempt": _retries(metadata) + 1,
        "micros": round(seconds * 1e6),
        "stage_micros": stages,
        **told,
    }


def _retries(metadata: Metadata) -> int:
    for key, value in metadata:
        if key == RETRIES and isinstance(value, str) and value.isdecimal():
            return min(int(value[:9]), 1000)
    return 0
