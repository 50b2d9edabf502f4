"""What a Search costs the server beside the search itself: CPU a call, against a bare echo.

python -m benchmarks.rpc_cost [--rows N] [--calls N] [--rounds N]

rpc_overhead = (server CPU a call - engine CPU a query) / CPU a call of a bare grpc.server that
reads the same request and writes the same response; rpc_efficiency_batch = engine CPU / server CPU
of batches of 64. Engine CPU is what the server's own threads spend in Generation.nearest during
those very calls (benchmarks/clocked_search.py), server CPU all that the process spends. rpc_floor
is the overhead of the bare server with the search in its handler: a search empties the caches that
the call around it needs. The client is another process with four callers; servers are asked in
turn, and medians of the rounds count. Live recall is off, as it answers queries that nobody asked.
"""

import argparse
import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import grpc
import numpy as np
from lookalike.search.v1 import search_pb2 as pb
from lookalike.search.v1 import search_pb2_grpc as rpc
from lookalike.v1.embedding_pb2 import Embedding
from lookalike_cli import processes

from benchmarks import bare_search, clocked_search, datasets
from benchmarks.catalogues import INDEX, SPACE, published
from benchmarks.echo import Echo
from benchmarks.record import record, table
from search_service.build import BuildOptions
from search_service.config import PREFIX
from search_service.engines import Vectors

CALLS = 3_000
ROUNDS = 7
CALLERS = 4
BATCH = 64
_SERVICE = pb.DESCRIPTOR.services_by_name["SearchService"].full_name
_TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")

Messages = Sequence[pb.SearchRequest] | Sequence[pb.SearchBatchRequest]


@dataclass(frozen=True)
class Cost:
    """CPU microseconds of a call."""

    served: float
    engine: float
    echoed: float

    @property
    def overhead(self) -> float:
        return (self.served - self.engine) / self.echoed

    @property
    def efficiency(self) -> float:
        return self.engine / self.served


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=datasets.ROWS)
    parser.add_argument("--calls", type=int, default=CALLS, help="a round; a tenth with batches")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args(arguments)
    dataset = datasets.easy(given.rows)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        published(dataset.vectors, folder, BuildOptions(engine="annoy"))
        clocked_search.wind(folder / "cache")
        os.environ[bare_search.STORE] = str(folder)
        settings = {"store": folder, "cache": folder / "cache", "live_recall_every": 0}
        with processes.start("benchmarks.clocked_search", PREFIX, settings) as search:
            figures = _measure(search, folder / "cache", dataset.queries, given.calls, given.rounds)
    full = (given.rows, given.calls, given.rounds) == (datasets.ROWS, CALLS, ROUNDS)
    record("rpc_cost", {"rows": given.rows, **figures}, is_full_size=full)


def _measure(
    search: processes.Running, clock: Path, queries: Vectors, calls: int, rounds: int
) -> dict[str, float]:
    ones = [pb.SearchRequest(index=INDEX, query=_query(query)) for query in queries]
    batches = [
        pb.SearchBatchRequest(index=INDEX, queries=[_query(q) for q in queries[at : at + BATCH]])
        for at in range(0, len(queries) - BATCH, BATCH)
    ]
    with grpc.insecure_channel(search.address) as channel:
        stub = rpc.SearchServiceStub(channel)
        answers = {
            "Search": (pb.SearchRequest, stub.Search(ones[0])),
            "SearchBatch": (pb.SearchBatchRequest, stub.SearchBatch(batches[0])),
        }
    one, many, floors = [], [], []
    searching = {"Search": answers["Search"]}
    with (
        Echo.start(_SERVICE, answers) as echo,
        Echo.start(_SERVICE, searching, work=bare_search.search) as bare,
    ):
        for _ in range(rounds):
            spent, searched = _spent(
                bare.address, bare.pid, ones, calls, lambda: bare.worked_seconds
            )
            floors.append(1e6 * (spent - searched) / calls)
            one.append(_cost(search, clock, echo, ones, calls))
            many.append(_cost(search, clock, echo, batches, calls // 10))
    table(
        f"CPU of the server, microseconds a call: medians of {rounds} rounds",
        ("", "served", "engine", "bare echo", "overhead, times echo", "engine/served"),
        [("Search", *_medians(one)), (f"SearchBatch of {BATCH}", *_medians(many))],
    )
    served, engine, echoed, overhead, _ = _medians(one)
    *_, efficiency = _medians(many)
    return {
        "served_micros": round(served, 1),
        "engine_micros": round(engine, 1),
        "echo_micros": round(echoed, 1),
        "rpc_overhead": round(overhead, 2),
        "rpc_floor": round(median(floors) / echoed, 2),
        "rpc_efficiency_batch": round(efficiency, 3),
    }


def _medians(costs: Sequence[Cost]) -> tuple[float, ...]:
    rows = [(c.served, c.engine, c.echoed, c.overhead, c.efficiency) for c in costs]
    return tuple(median(column) for column in zip(*rows, strict=True))


def _query(vector: np.ndarray) -> pb.Query:
    return pb.Query(embedding=Embedding(values=vector.tobytes(), space_id=SPACE))


def _cost(
    search: processes.Running, clock: Path, echo: Echo, messages: Messages, calls: int
) -> Cost:
    """Of both servers in turn."""
    served, engine = _spent(
        search.address,
        search.process.pid,
        messages,
        calls,
        lambda: clocked_search.read_seconds(clock),
    )
    echoed, _ = _spent(echo.address, echo.pid, messages, calls)
    # At least a tick: a few calls may take less than /proc can tell.
    echoed = max(echoed, _TICK_SECONDS)
    return Cost(*(1e6 * seconds / calls for seconds in (served, engine, echoed)))


def _spent(
    address: str,
    pid: int,
    messages: Messages,
    calls: int,
    searched_seconds: Callable[[], float] = lambda: 0.0,
) -> tuple[float, float]:
    """CPU seconds of a server, and of them those in the search; the first calls only warm it."""
    _ask(address, messages, CALLERS)
    before = _cpu_seconds(pid), searched_seconds()
    _ask(address, messages, calls)
    return _cpu_seconds(pid) - before[0], searched_seconds() - before[1]


def _ask(address: str, messages: Messages, calls: int) -> None:
    with grpc.insecure_channel(address) as channel, ThreadPoolExecutor(CALLERS) as pool:
        stub = rpc.SearchServiceStub(channel)

        def ask(number: int) -> None:
            message = messages[number % len(messages)]
            if isinstance(message, pb.SearchRequest):
                stub.Search(message)
            else:
                stub.SearchBatch(message)

        list(pool.map(ask, range(calls)))


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_SECONDS


if __name__ == "__main__":
    main()
