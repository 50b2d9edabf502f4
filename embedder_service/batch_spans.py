"""A span for each batch, linked to the calls whose images were in it."""

from __future__ import annotations

from collections.abc import Sequence

from embedder_service.passes import BatchObserver
from embedder_service.pending import Wait
from lookalike_kit.traces import Traces


class BatchSpans:
    """Tells another observer all that it is told, and traces the batches."""

    def __init__(self, observer: BatchObserver, traces: Traces) -> None:
        self._observer = observer
        self._traces = traces

    def batch(self, images: int, waits: Sequence[Wait], forward_seconds: float) -> None:
        self._observer.batch(images, waits, forward_seconds)
        traced = [wait.trace for wait in waits if wait.trace]
        facts = {"images": images, "calls": len(waits)}
        self._traces.work("batch", forward_seconds, traced, facts)

    def trouble(self, kind: str) -> None:
        self._observer.trouble(kind)
