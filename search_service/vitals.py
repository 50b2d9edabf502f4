"""How each generation fares in service: what it answered, what failed, what recall was sampled."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import grpc

from lookalike_kit.errors import ServiceError

# Generations come and go every night; a replica serves a few of them at a time.
KEPT = 1000


class Vital(NamedTuple):
    """One generation's counts since this process began to serve it.

    live_recall: the mean of its samples, 0 to 1; None without any.
    internal_errors: calls that ended INTERNAL. queries: a batch counts each of its queries.
    """

    live_recall: float | None = None
    live_recall_samples: int = 0
    queries: int = 0
    internal_errors: int = 0

    def with_sample(self, recall: float) -> "Vital":
        samples = self.live_recall_samples + 1
        mean = self.live_recall or 0.0
        return self._replace(
            live_recall=mean + (recall - mean) / samples, live_recall_samples=samples
        )


class Vitals:
    """Counts by the SHA-256 of the generation's manifest; the KEPT that changed last are kept."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._vitals: dict[str, Vital] = {}  # the one that changed last is the last

    def of(self, sha256: str) -> Vital:
        return self._vitals.get(sha256, Vital())

    def answered(self, sha256: str, queries: int) -> None:
        """It answered a call of so many queries."""
        with self._lock:
            vital = self._taken(sha256)
            self._vitals[sha256] = vital._replace(queries=vital.queries + queries)

    def sampled(self, sha256: str, recall: float) -> None:
        """One of its answers had this recall."""
        with self._lock:
            self._vitals[sha256] = self._taken(sha256).with_sample(recall)

    @contextmanager
    def watch(self, sha256: str) -> Iterator[None]:
        """Counts the call that this is a part of if it will end INTERNAL."""
        try:
            yield
        except Exception as error:
            if not isinstance(error, ServiceError) or error.status is grpc.StatusCode.INTERNAL:
                self._failed(sha256)
            raise

    def _failed(self, sha256: str) -> None:
        with self._lock:
            vital = self._taken(sha256)
            self._vitals[sha256] = vital._replace(internal_errors=vital.internal_errors + 1)

    def _taken(self, sha256: str) -> Vital:
        """Out of its place, to be put at the end; makes room there."""
        vital = self._vitals.pop(sha256, Vital())
        if len(self._vitals) >= KEPT:
            del self._vitals[next(iter(self._vitals))]
        return vital
