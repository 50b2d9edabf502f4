"""What the host spends on an image beside decoding it, with a model that costs nothing.

host_overhead = (server CPU an image - decoding CPU) / CPU a call of a bare grpc.server that takes
the same bytes and writes the same answer. Decoding is images.check and images.decode, clocked by
thread in the very server and its decoders (benchmarks/embedder_stand_in.py); its threads keep to
one core, as beside a GPU. Two more servers stand beside: the bare
one with our interceptors and admission, and the bare one with the decoding in its handler, which is
what an image costs at the least where decoding empties the caches in between.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any

import grpc
from lookalike.embedder.v1 import embedder_pb2 as pb
from lookalike.embedder.v1 import embedder_pb2_grpc as rpc
from lookalike_cli import processes
from lookalike_cli.scrape import scrape

from benchmarks import litserve_callers
from benchmarks.echo import Echo
from benchmarks.embed_callers import CALLERS, Asked, ask, callers
from benchmarks.embedder_stand_in import DECODE_CPU, PREPROCESSING
from benchmarks.photograph import photograph
from benchmarks.record import table
from benchmarks.rivals_client import tree_cpu_seconds
from embedder_service import images
from embedder_service.config import PREFIX
from lookalike_kit import cpu

_SERVICE = pb.DESCRIPTOR.services_by_name["EmbedderService"].full_name
_CORES = cpu.cores()
_LIMITS = images.Limits()

OURS, BARE, KIT, DECODING, LITSERVE, LITSERVE_A_CORE, LITSERVE_BLIND = (
    "served, a model that costs nothing",
    "bare echo",
    "echo in our server",
    "bare echo that decodes",
    "LitServe, one worker as it comes",
    "LitServe, a worker a core",
    "LitServe that does not decode",
)


# How many workers each has, and what else it is told.
_LITSERVE: dict[str, tuple[Any, ...]] = {
    LITSERVE: (1,),
    LITSERVE_A_CORE: (_CORES,),
    LITSERVE_BLIND: (1, "blind"),
}


@dataclass(frozen=True)
class Contestant:
    """A server: how it is asked for so many seconds, its process, its decoding so far."""

    ask: Callable[[float], Asked]
    pid: int
    decoded_seconds: Callable[[], float]


@dataclass(frozen=True)
class Cost:
    """Images a second, and CPU microseconds an image: of the server, its decoding, its client."""

    rate: float
    server: float
    decoding: float
    client: float

    @property
    def host(self) -> float:
        """What the server spends beside decoding."""
        return self.server - self.decoding


def measure(rounds: int, seconds: float) -> dict[str, object]:
    """All in turn, medians of the rounds; LitServe only where its environment is."""
    photos = [photograph(300, 300, number) for number in range(8)]
    with callers() as clients, ExitStack() as running:
        contestants = dict(_contestants(clients, running, photos))
        costs: dict[str, list[Cost]] = {name: [] for name in contestants}
        loops = []
        for _ in range(rounds):
            loops.append(clients.submit(decode_loop, photos, seconds).result())
            for name, contestant in contestants.items():
                costs[name].append(_cost(contestant, seconds))
    found = {name: _middle(each) for name, each in costs.items()}
    _print(found, median(loops), rounds)
    ours, bare = found[OURS], found[BARE]
    litserve = {name: round(ours.rate / found[name].rate, 2) for name in _LITSERVE if name in found}
    return {
        "host_overhead": round(ours.host / bare.server, 2),
        "host_overhead_of_kit": round(found[KIT].server / bare.server, 2),
        "host_overhead_of_decoding_echo": round(found[DECODING].host / bare.server, 2),
        "host_micros": {name: round(each.host, 1) for name, each in found.items()},
        "client_micros": {name: round(each.client, 1) for name, each in found.items()},
        "host_path_images": round(ours.rate, 1),
        "host_path_vs_decode_loop": round(ours.rate / median(loops), 3),
        "vs_litserve": litserve.get(LITSERVE),
        "vs_litserve_a_worker_a_core": litserve.get(LITSERVE_A_CORE),
        "vs_litserve_that_does_not_decode": litserve.get(LITSERVE_BLIND),
    }


def decode_loop(photos: Sequence[bytes], seconds: float) -> float:
    """Images a second that this process decodes, a thread a core."""

    def decoded(first: int) -> int:
        count = 0
        while time.perf_counter() < end:
            images.read(photos[(first + count) % len(photos)], PREPROCESSING)
            count += 1
        return count

    with ThreadPoolExecutor(_CORES) as pool:
        end = time.perf_counter() + seconds
        return sum(pool.map(decoded, range(_CORES))) / seconds


_turns = threading.Semaphore(_CORES)  # as many as the embedder decodes at once


def decode_clocked(request: pb.EmbedRequest) -> float:
    """What `images.read` does, in one of as many turns as there are cores; its CPU seconds."""
    content = request.images[0].content
    with _turns:
        began = time.thread_time()
        images.decode(content, images.check(content, _LIMITS), PREPROCESSING)
        return time.thread_time() - began


def _contestants(
    clients: ProcessPoolExecutor, running: ExitStack, photos: Sequence[bytes]
) -> Iterator[tuple[str, Contestant]]:
    def by_grpc(address: str) -> Callable[[float], Asked]:
        return lambda for_seconds: clients.submit(
            ask, address, photos, for_seconds, CALLERS
        ).result()

    server = running.enter_context(
        processes.start("benchmarks.embedder_stand_in", PREFIX, {"model": 0})
    )
    metrics = server.metrics_address
    yield (
        OURS,
        Contestant(
            by_grpc(server.address), server.process.pid, lambda: scrape(metrics)[DECODE_CPU, ()]
        ),
    )
    answer = _answer(server.address, photos[0])
    methods = {"Embed": (pb.EmbedRequest, answer)}
    for name, echo in (
        (BARE, Echo.start(_SERVICE, methods)),
        (KIT, Echo.start(_SERVICE, methods, around=True)),
        (DECODING, Echo.start(_SERVICE, methods, work=decode_clocked)),
    ):
        running.enter_context(echo)
        yield name, Contestant(by_grpc(echo.address), echo.pid, _worked(echo))
    if litserve_callers.PYTHON.exists():
        for name, how in _LITSERVE.items():
            yield name, running.enter_context(_litserve(clients, photos, *how))


def _worked(echo: Echo) -> Callable[[], float]:
    return lambda: echo.worked_seconds


@contextmanager
def _litserve(
    clients: ProcessPoolExecutor, photos: Sequence[bytes], workers: int, *how: str
) -> Iterator[Contestant]:
    with litserve_callers.litserve(workers, *how) as (port, pid):

        def asked(seconds: float) -> Asked:
            with litserve_callers.awake(pid):
                return clients.submit(litserve_callers.ask, port, photos, seconds, CALLERS).result()

        asked(0.1)  # from then on it is stopped while others are measured
        yield Contestant(asked, pid, lambda: 0.0)


def _answer(address: str, photo: bytes) -> pb.EmbedResponse:
    with grpc.insecure_channel(address) as channel:
        request = pb.EmbedRequest(images=[pb.Image(content=photo)])
        return rpc.EmbedderServiceStub(channel).Embed(request)


def _cost(contestant: Contestant, seconds: float) -> Cost:
    contestant.ask(seconds / 8)
    server, decoded = tree_cpu_seconds((contestant.pid,)), contestant.decoded_seconds()
    asked = contestant.ask(seconds)
    server = tree_cpu_seconds((contestant.pid,)) - server
    decoded = contestant.decoded_seconds() - decoded
    micros = 1e6 / len(asked.call_seconds)
    return Cost(
        asked.calls_per_second, micros * server, micros * decoded, micros * asked.cpu_seconds
    )


def _middle(costs: Sequence[Cost]) -> Cost:
    rows = [(cost.rate, cost.server, cost.decoding, cost.client) for cost in costs]
    return Cost(*(median(column) for column in zip(*rows, strict=True)))


def _print(found: dict[str, Cost], loop: float, rounds: int) -> None:
    rows = [
        (name, each.rate, each.server, each.decoding, each.host, each.client)
        for name, each in found.items()
    ]
    table(
        f"{CALLERS} callers of one 300 x 300 JPEG a call; CPU us an image, medians of {rounds}",
        ("", "images/s", "server", "of it decoding", "beside it", "client"),
        [*rows, (f"decoding alone, {_CORES} threads", loop, "", "", "", "")],
    )
