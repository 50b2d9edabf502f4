"""SIGTERM to a service that is at work: who asks its health, who waits for an answer, how it ends.

python -m proofs.stops [--times N]

Callers that never try again keep each tier busy; the embedder's device is so slow that what is in
flight outlives the drain. Health, watched as a client with health checks watches it, says
NOT_SERVING within 100 ms; every call that had begun is answered; the process ends with code 0
within drain and grace.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc  # type: ignore[import-untyped]
from lookalike.embedder.v1 import embedder_pb2
from lookalike.embedder.v1.embedder_pb2_grpc import EmbedderServiceStub
from lookalike.search.v1 import search_pb2
from lookalike.search.v1.search_pb2_grpc import SearchServiceStub
from lookalike_cli.processes import Running

from benchmarks.record import record, table
from proofs import tiers
from proofs.backend import photos
from proofs.replica import workplace
from search_service.store import Store

TIMES = 10
CALLERS = 8
NOT_SERVING_MS = 100.0
DRAIN_SECONDS, GRACE_SECONDS = 0.5, 10.0
# Eight images in flight take 8 x 150 ms: two drains.
_MODEL_MILLISECONDS = 150.0
_WORK_SECONDS = 0.5
_TIMEOUT_SECONDS = 30.0

Ask = Callable[[], object]


@dataclass(frozen=True)
class Stop:
    """not_serving_ms, exit_seconds: after SIGTERM. in_flight: calls then out; lost: of those."""

    not_serving_ms: float
    exit_seconds: float
    exit_code: int
    in_flight: int
    lost: int

    @property
    def wrong(self) -> str:
        """What falls short; "" if nothing does."""
        if self.not_serving_ms > NOT_SERVING_MS:
            return (
                f"expected NOT_SERVING within {NOT_SERVING_MS:g} ms, got {self.not_serving_ms:.0f}"
            )
        if self.lost or not self.in_flight:
            return f"expected calls in flight, all answered, got {self.lost} of {self.in_flight}"
        if self.exit_code or self.exit_seconds > DRAIN_SECONDS + GRACE_SECONDS:
            return f"expected exit code 0 in time, got {self.exit_code}, {self.exit_seconds:.1f} s"
        return ""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=TIMES, help="each tier")
    times = parser.parse_args(arguments).times
    stops = measure(times)
    figures = {tier: _worst(those) for tier, those in stops.items()}
    table(
        f"SIGTERM to each tier, {times} times: the worst of each",
        ("tier", "NOT_SERVING, ms", "in flight", "lost", "exit, s"),
        [(tier, *worst.values()) for tier, worst in figures.items()],
    )
    wrong = [f"{tier}: {each.wrong}" for tier in stops for each in stops[tier] if each.wrong]
    summary = {"times": times, **figures, "wrong": len(wrong)}
    record("proof_stops", summary, is_full_size=times == TIMES)
    if wrong:
        raise SystemExit("\n".join(wrong[:20]))


def measure(times: int) -> dict[str, list[Stop]]:
    """By tier, what became of each stop."""
    with workplace() as folder:
        store, log = Store(folder / "store"), folder / "log"
        tiers.write_index(store, folder / "build")
        ending: dict[str, Any] = {"drain_seconds": DRAIN_SECONDS, "grace_seconds": GRACE_SECONDS}

        def embedder() -> Running:
            return tiers.embedder(log, model=_MODEL_MILLISECONDS, **ending)

        def search() -> Running:
            return tiers.search(store, folder / "cache", log, **ending)

        return {
            "embedder": [_stop(embedder, _embedding) for _ in range(times)],
            "search": [_stop(search, _searching) for _ in range(times)],
        }


def _stop(start: Callable[[], Running], asking: Callable[[grpc.Channel], Ask]) -> Stop:
    with (
        start() as running,
        _callers(running.address, asking) as calls,
        _health(running.admin_address) as turned,
    ):
        time.sleep(_WORK_SECONDS)
        asked = time.monotonic()
        running.process.terminate()
        calls.stop.set()  # nobody begins a call any more; those that are out are waited for
        exit_code = running.process.wait(_TIMEOUT_SECONDS)
        exit_seconds = time.monotonic() - asked
        not_serving_at = turned()
    in_flight = [error for begun, ended, error in calls.made if begun <= asked < ended]
    return Stop(
        not_serving_ms=1e3 * (not_serving_at - asked),
        exit_seconds=exit_seconds,
        exit_code=exit_code,
        in_flight=len(in_flight),
        lost=sum(map(bool, in_flight)),
    )


@dataclass
class _Calls:
    """made: when each begun and ended, and its error."""

    stop: threading.Event = field(default_factory=threading.Event)
    made: list[tuple[float, float, str]] = field(default_factory=list)


@contextmanager
def _callers(address: str, asking: Callable[[grpc.Channel], Ask]) -> Iterator[_Calls]:
    """Each calls again as soon as it was answered, until told to stop; none tries again."""
    calls = _Calls()

    def keep_calling(ask: Ask) -> None:
        while not calls.stop.is_set():
            begun, error = time.monotonic(), ""
            try:
                ask()
            except grpc.RpcError as failure:
                error = str(failure)
            calls.made.append((begun, time.monotonic(), error))

    with grpc.insecure_channel(address, [("grpc.enable_retries", 0)]) as channel:
        ask = asking(channel)
        ask()
        threads = [threading.Thread(target=keep_calling, args=(ask,)) for _ in range(CALLERS)]
        for thread in threads:
            thread.start()
        try:
            yield calls
        finally:
            calls.stop.set()
            for thread in threads:
                thread.join()


def _embedding(channel: grpc.Channel) -> Ask:
    stub: Any = EmbedderServiceStub(channel)
    request = embedder_pb2.EmbedRequest(images=[embedder_pb2.Image(content=photos()[0])])
    return lambda: stub.Embed(request, timeout=_TIMEOUT_SECONDS)


def _searching(channel: grpc.Channel) -> Ask:
    """All items, one by one, in one exact call: some are always under way."""
    stub: Any = SearchServiceStub(channel)
    queries = [search_pb2.Query(item_id=f"0-{item:04d}") for item in range(256)]
    options = search_pb2.SearchOptions(k=10, accuracy=search_pb2.ACCURACY_EXACT)
    request = search_pb2.SearchBatchRequest(index=tiers.INDEX, queries=queries, options=options)
    return lambda: stub.SearchBatch(request, timeout=_TIMEOUT_SECONDS)


@contextmanager
def _health(admin_address: str) -> Iterator[Callable[[], float]]:
    """Watches health until it says NOT_SERVING; what is yielded says when that was."""
    heard: list[float] = []
    with grpc.insecure_channel(admin_address) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        if next(watch).status != health_pb2.HealthCheckResponse.SERVING:
            raise RuntimeError("health: expected SERVING to begin with")

        def listen() -> None:
            if next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING:
                heard.append(time.monotonic())

        listening = threading.Thread(target=listen)
        listening.start()

        def turned() -> float:
            listening.join(_TIMEOUT_SECONDS)
            return heard[0] if heard else float("inf")

        yield turned


def _worst(stops: Sequence[Stop]) -> dict[str, float]:
    return {
        "not_serving_ms": round(max(each.not_serving_ms for each in stops), 1),
        "in_flight": min(each.in_flight for each in stops),
        "lost": sum(each.lost for each in stops),
        "exit_seconds": round(max(each.exit_seconds for each in stops), 2),
    }


if __name__ == "__main__":
    main()
