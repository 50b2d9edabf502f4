"""What is left of a search service under more calls than it can answer.

python -m benchmarks.overload [--rows N] [--seconds S]

Peak is the rate at which a few callers, each with one call at a time, are answered. Then calls come
at 1, 2 and 10 times that rate whatever becomes of them, each with a deadline, none tried again.
Goodput is what was answered in time, over the peak. Callers and service share the machine.
"""

import argparse
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pyarrow as pa
from lookalike.search.v1 import search_pb2 as pb
from lookalike.search.v1 import search_pb2_grpc as rpc
from lookalike.v1.embedding_pb2 import Embedding
from lookalike_cli import processes

from benchmarks import datasets
from benchmarks.record import record, table
from search_service.build import BuildOptions, Source, build, publish
from search_service.store import Store

SPACE = "a" * 64
INDEX = "easy"
BATCH = 16  # queries a call, so that one process of Python can send ten times too many
CALLERS = 8  # each with a connection of its own
DEADLINE_SECONDS = 1.0
LOADS = (1, 2, 10)
# What a caller may see besides an answer.
REFUSED = grpc.StatusCode.RESOURCE_EXHAUSTED
LATE = grpc.StatusCode.DEADLINE_EXCEEDED


@dataclass
class Outcome:
    """What became of the calls of one load."""

    codes: Counter[grpc.StatusCode] = field(default_factory=Counter)
    eased: int = 0
    seconds: dict[grpc.StatusCode, list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, call: Any, took: float) -> None:
        code = call.code()
        self.codes[code] += 1
        self.seconds[code].append(took)
        if code is grpc.StatusCode.OK:
            answers = call.result().answers
            self.eased += answers[0].shortfall == pb.SHORTFALL_EFFORT_LOWERED

    def figures(self, seconds: float, peak: float) -> dict[str, float]:
        answered = self.codes[grpc.StatusCode.OK]
        others = self.codes.total() - answered - self.codes[REFUSED] - self.codes[LATE]
        return {
            "sent_per_second": round(self.codes.total() / seconds, 1),
            "goodput": round(answered / seconds / peak, 3),
            "share_eased": round(self.eased / max(answered, 1), 3),
            "answer_p99_ms": _p99_milliseconds(self.seconds[grpc.StatusCode.OK]),
            "refused_per_second": round(self.codes[REFUSED] / seconds, 1),
            "refusal_p99_ms": _p99_milliseconds(self.seconds[REFUSED]),
            "late_per_second": round(self.codes[LATE] / seconds, 1),
            "other_statuses": others,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=datasets.ROWS)
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    dataset = datasets.easy(options.rows)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photos = pa.table({"photo_id": [f"p{row:06d}" for row in range(options.rows)]})
        build(Source(dataset.vectors, photos, SPACE), folder / "built", BuildOptions())
        publish(Store(folder), INDEX, folder / "built")
        with processes.search(folder, folder / "cache") as search:
            figures = _measure(search.address, dataset.queries, options.seconds)
    full = options.rows == datasets.ROWS
    record("overload", {"rows": options.rows, **figures}, is_full_size=full)


def _measure(address: str, queries: np.ndarray, seconds: float) -> dict[str, object]:
    batches = [_batch(queries[at : at + BATCH]) for at in range(0, len(queries) - BATCH, BATCH)]
    with ExitStack() as stack:
        channels = [stack.enter_context(_connection(address)) for _ in range(CALLERS)]
        callers = [rpc.SearchServiceStub(channel) for channel in channels]
        peak = _peak(callers, batches, seconds)
        loads = {f"{load}x": _load(callers, batches, load * peak, seconds, peak) for load in LOADS}
        after = _peak(callers, batches, seconds)
    table(
        f"Calls of {BATCH} queries with {DEADLINE_SECONDS:g} s each; peak {peak:.0f} calls/s",
        ("load", *loads["1x"]),
        [(load, *figures.values()) for load, figures in loads.items()],
    )
    return {"peak_calls": round(peak, 1), "peak_after": round(after / peak, 3), **loads}


def _connection(address: str) -> grpc.Channel:
    """One of its own: beyond 100 calls at once a connection refuses by itself."""
    return grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)])


def _batch(vectors: np.ndarray) -> pb.SearchBatchRequest:
    embeddings = [Embedding(values=vector.tobytes(), space_id=SPACE) for vector in vectors]
    queries = [pb.Query(embedding=embedding) for embedding in embeddings]
    return pb.SearchBatchRequest(index=INDEX, queries=queries)


def _peak(
    callers: Sequence[Any], batches: Sequence[pb.SearchBatchRequest], seconds: float
) -> float:
    """Calls a second that are answered to callers with one at a time each."""
    end = time.perf_counter() + seconds

    def ask(caller: Any) -> int:
        answered = 0
        while time.perf_counter() < end:
            caller.SearchBatch(batches[answered % len(batches)])
            answered += 1
        return answered

    with ThreadPoolExecutor(len(callers)) as pool:
        return sum(pool.map(ask, callers)) / seconds


def _load(
    callers: Sequence[Any],
    batches: Sequence[pb.SearchBatchRequest],
    rate: float,
    seconds: float,
    peak: float,
) -> dict[str, float]:
    """Sends at this rate, in even steps, whatever comes back."""
    outcome, ended = Outcome(), threading.Semaphore(0)
    begun = time.perf_counter()
    count = round(rate * seconds)

    def send(number: int) -> None:
        sent = time.perf_counter()
        ask = callers[number % len(callers)].SearchBatch.future
        call = ask(batches[number % len(batches)], timeout=DEADLINE_SECONDS)

        def settle(call: Any) -> None:
            outcome.add(call, time.perf_counter() - sent)
            ended.release()

        call.add_done_callback(settle)

    for number in range(count):
        time.sleep(max(0.0, begun + number / rate - time.perf_counter()))
        send(number)
    took = time.perf_counter() - begun
    for _ in range(count):
        ended.acquire()
    return outcome.figures(took, peak)


def _p99_milliseconds(seconds: Sequence[float]) -> float:
    return round(float(np.percentile(seconds, 99)) * 1e3, 1) if seconds else 0.0


if __name__ == "__main__":
    main()
