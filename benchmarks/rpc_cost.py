"""What a Search costs the server beside the search itself: CPU a call, against a bare echo.

python -m benchmarks.rpc_cost [--rows N] [--calls N]

rpc_overhead = (server CPU a call - engine CPU a query) / CPU a call of a bare grpc.server that
takes the same request and gives back the same response. The client is another process; the two
servers are asked in turn, and each one's CPU is read from /proc: a noisy machine slows both.
"""

import argparse
import multiprocessing
import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
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
from search_service.generation import Generation
from search_service.manifest import Manifest, decode
from search_service.options import read_options
from search_service.query import ByVector
from search_service.store import Store

SPACE = "a" * 64
INDEX = "easy"
ROUNDS = 5
CALLERS = 4
BATCH = 64
_TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=datasets.ROWS)
    parser.add_argument("--calls", type=int, default=2_000)
    options = parser.parse_args()
    dataset = datasets.easy(options.rows)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _publish(dataset.vectors, folder)
        with processes.search(folder, folder / "cache", threads=8) as search:
            figures = _measure(search, folder, dataset.queries, options.calls)
    full = options.rows == datasets.ROWS
    record("rpc_cost", {"rows": options.rows, **figures}, is_full_size=full)


def _publish(vectors: np.ndarray, folder: Path) -> None:
    photos = pa.table({"photo_id": pa.array([f"p{row:06d}" for row in range(len(vectors))])})
    build(Source(vectors, photos, SPACE), folder / "built", BuildOptions(engine="annoy"))
    publish(Store(folder), INDEX, folder / "built")


def _measure(
    search: processes.Running, folder: Path, queries: np.ndarray, calls: int
) -> dict[str, float]:
    ones = [pb.SearchRequest(index=INDEX, query=_query(query)) for query in queries]
    batches = [
        pb.SearchBatchRequest(index=INDEX, queries=[_query(q) for q in queries[at : at + BATCH]])
        for at in range(0, len(queries) - BATCH, BATCH)
    ]
    with grpc.insecure_channel(search.address) as channel:
        stub = rpc.SearchServiceStub(channel)
        echo = _start_echo(stub.Search(ones[0]), stub.SearchBatch(batches[0]))
    try:
        rounds = [_round(search, echo, ones, batches, calls) for _ in range(ROUNDS)]
    finally:
        echo.process.kill()
    served, echoed, batch_served, batch_echoed = (
        median(column) for column in zip(*rounds, strict=True)
    )
    engine, batch_engine = _engine_micros(folder, queries)
    table(
        "CPU of the server, microseconds",
        ("", "served", "engine", "bare echo", "overhead, times echo"),
        [
            ("Search", served, engine, echoed, (served - engine) / echoed),
            (
                f"SearchBatch of {BATCH}",
                batch_served,
                batch_engine,
                batch_echoed,
                (batch_served - batch_engine) / batch_echoed,
            ),
        ],
    )
    return {
        "served_micros": round(served, 1),
        "engine_micros": round(engine, 1),
        "echo_micros": round(echoed, 1),
        "rpc_overhead": round((served - engine) / echoed, 2),
        "rpc_efficiency_batch": round(batch_engine / batch_served, 3),
    }


def _query(vector: np.ndarray) -> pb.Query:
    return pb.Query(embedding=Embedding(values=vector.tobytes(), space_id=SPACE))


class _EchoProcess:
    def __init__(self, process: multiprocessing.process.BaseProcess, address: str) -> None:
        self.process = process
        self.address = address


def _start_echo(one: pb.SearchResponse, batch: pb.SearchBatchResponse) -> _EchoProcess:
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    answers = (one.SerializeToString(), batch.SerializeToString())
    process = spawn.Process(target=_serve_echo, args=(there, *answers), daemon=True)
    process.start()
    return _EchoProcess(process, f"127.0.0.1:{here.recv()}")


def _serve_echo(pipe: Connection, one: bytes, batch: bytes) -> None:
    """A bare server that reads the same requests and writes the same answers each time."""
    search, search_batch = (
        pb.SearchResponse.FromString(one),
        pb.SearchBatchResponse.FromString(batch),
    )
    handlers: dict[str, Any] = {
        "Search": grpc.unary_unary_rpc_method_handler(
            lambda _request, _context: search,
            request_deserializer=pb.SearchRequest.FromString,
            response_serializer=pb.SearchResponse.SerializeToString,
        ),
        "SearchBatch": grpc.unary_unary_rpc_method_handler(
            lambda _request, _context: search_batch,
            request_deserializer=pb.SearchBatchRequest.FromString,
            response_serializer=pb.SearchBatchResponse.SerializeToString,
        ),
    }
    server = grpc.server(ThreadPoolExecutor(8))
    service = pb.DESCRIPTOR.services_by_name["SearchService"].full_name
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, handlers)])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    pipe.send(port)
    server.wait_for_termination()


def _round(
    search: processes.Running,
    echo: _EchoProcess,
    ones: list[pb.SearchRequest],
    batches: list[pb.SearchBatchRequest],
    calls: int,
) -> tuple[float, float, float, float]:
    pids = search.process.pid, echo.process.pid or 0
    addresses = search.address, echo.address
    found = []
    for messages, count in ((ones, calls), (batches, calls // 20)):
        for pid, address in zip(pids, addresses, strict=True):
            found.append(_cpu_micros_a_call(pid, address, messages, count))
    return found[0], found[1], found[2], found[3]


def _cpu_micros_a_call(
    pid: int,
    address: str,
    messages: list[pb.SearchRequest] | list[pb.SearchBatchRequest],
    calls: int,
) -> float:
    with grpc.insecure_channel(address) as channel, ThreadPoolExecutor(CALLERS) as pool:
        stub = rpc.SearchServiceStub(channel)

        def ask(number: int) -> None:
            message = messages[number % len(messages)]
            if isinstance(message, pb.SearchRequest):
                stub.Search(message)
            else:
                stub.SearchBatch(message)

        list(pool.map(ask, range(CALLERS)))  # the connection is there
        before = _cpu_seconds(pid)
        list(pool.map(ask, range(calls)))
        # At least a tick: a few calls may take less than /proc can tell.
        return max(_cpu_seconds(pid) - before, _TICK_SECONDS) / calls * 1e6


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_SECONDS


def _engine_micros(folder: Path, queries: np.ndarray) -> tuple[float, float]:
    """CPU of nearest() in this process, a query alone and a batch, without any protos."""
    (path,) = folder.glob("indexes/*/generations/*.json")
    manifest = decode(path.read_bytes(), Manifest, "manifest")
    generation = Generation.open(manifest, "", folder / "blobs")
    targets = [ByVector(query.tobytes(), SPACE, "") for query in queries]
    options = read_options(pb.SearchOptions(), queries=BATCH)
    times = []
    for _ in range(ROUNDS):
        begun = time.process_time()
        for target in targets:
            generation.nearest([target], options)
        times.append((time.process_time() - begun) / len(targets))
    begun = time.process_time()
    count = 0
    for at in range(0, len(targets) - BATCH, BATCH):
        generation.nearest(targets[at : at + BATCH], options)
        count += 1
    return median(times) * 1e6, (time.process_time() - begun) / count * 1e6


if __name__ == "__main__":
    main()
