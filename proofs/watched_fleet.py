"""Both tiers as real processes, callers who ask them all the time, and Prometheus' list of them."""

import io
import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from lookalike.embedder.v1 import embedder_pb2
from lookalike.embedder.v1.embedder_pb2_grpc import EmbedderServiceStub
from lookalike.search.v1 import admin_pb2, search_pb2
from lookalike.search.v1.admin_pb2_grpc import IndexAdminServiceStub
from lookalike.search.v1.search_pb2_grpc import SearchServiceStub
from lookalike_cli import processes
from lookalike_cli.processes import Running
from PIL import Image

from proofs.prometheus import Prometheus
from proofs.scenes import INDEX
from proofs.watched_embedder import Orders
from search_service.store import Store

EMBEDDER, NEXT_EMBEDDER, SEARCH = (
    f"lookalike-{it}" for it in ("embedder", "embedder-next", "search")
)
_PAUSE_SECONDS = 0.05
_DEADLINE_SECONDS = 10


@dataclass
class Member:
    """A process of the fleet. is_asked: whether callers call it."""

    job: str
    running: Running
    is_asked: bool

    @property
    def ports(self) -> dict[str, Any]:
        """For another in its place."""
        of = self.running
        return {
            "address": of.address,
            "admin_address": of.admin_address,
            "metrics_address": of.metrics_address,
        }


@dataclass
class Fleet:
    """By name. indexes: what callers ask for, one after the other."""

    folder: Path
    prometheus: Prometheus
    members: dict[str, Member] = field(default_factory=dict)
    indexes: tuple[str, ...] = (INDEX,)
    answered: int = 0
    failed: int = 0

    @property
    def store(self) -> Store:
        return Store(self.folder / "store")

    def start_embedder(
        self,
        name: str,
        orders: Orders,
        job: str = EMBEDDER,
        *,
        is_asked: bool = True,
        **settings: Any,
    ) -> None:
        """Orders are kept where `order` gives others."""
        model = orders.give(self._orders(name))
        running = processes.start(
            "proofs.watched_embedder",
            "LOOKALIKE_EMBEDDER_",
            {"model": model, "drain_seconds": 0, "threads": 8, **settings},
            self._log(name),
        )
        self._add(name, job, running, is_asked)

    def start_search(self, name: str, *, is_asked: bool = True, **settings: Any) -> None:
        """It looks at the store when told to, unless `poll_seconds` says otherwise."""
        usual = {"drain_seconds": 0, "poll_seconds": 3600, "live_recall_every": 1, "threads": 4}
        cache = self.folder / f"cache-{name}"
        running = processes.search(
            self.store.root, cache, log=self._log(name), **{**usual, **settings}
        )
        self._add(name, SEARCH, running, is_asked)

    def order(self, name: str, orders: Orders) -> None:
        """What an embedder does from its next pass on."""
        orders.give(self._orders(name))

    def kill(self, name: str) -> None:
        """It stays on Prometheus' list."""
        self.members[name].is_asked = False
        self.members[name].running.kill()

    def remove(self, *names: str) -> None:
        """As Kubernetes does: out of the list, then SIGTERM."""
        gone = [self.members.pop(name) for name in names]
        self._list()
        for member in gone:
            member.running.kill()

    def refresh(self, *names: str) -> None:
        """Replicas look at the store now; all that are there unless named."""
        for name in names or [each for each, of in self.members.items() if of.job == SEARCH]:
            with grpc.insecure_channel(self.members[name].running.admin_address) as channel:
                IndexAdminServiceStub(channel).Refresh(admin_pb2.RefreshRequest(), timeout=120)

    def pin(self, name: str, index: str, generation: int, space_id: str, sha256: str) -> None:
        """Through the replica's admin port."""
        asked = admin_pb2.PinRequest(
            index=index,
            space_id=space_id,
            generation=generation,
            manifest_sha256=sha256,
            reason="the proof",
        )
        with grpc.insecure_channel(self.members[name].running.admin_address) as channel:
            IndexAdminServiceStub(channel).Pin(asked, timeout=120)

    def close(self) -> None:
        for member in self.members.values():
            member.running.kill()

    def addresses(self, *jobs: str) -> list[str]:
        """Of those that callers call."""
        return [
            of.running.address for of in self.members.values() if of.job in jobs and of.is_asked
        ]

    def _add(self, name: str, job: str, running: Running, is_asked: bool) -> None:
        self.members[name] = Member(job, running, is_asked)
        self._list()

    def _list(self) -> None:
        self.prometheus.scrape(
            {name: (of.job, of.running.metrics_address) for name, of in self.members.items()}
        )

    def _orders(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"


@contextmanager
def callers(fleet: Fleet, count: int = 2) -> Iterator[None]:
    """Threads that embed a photo and search with its vector, one after the other."""
    stop = threading.Event()
    threads = [
        threading.Thread(target=_call, args=(fleet, stop, seed), daemon=True)
        for seed in range(count)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _call(fleet: Fleet, stop: threading.Event, seed: int) -> None:
    generator, channels = np.random.default_rng(seed), _Channels()
    for turn in itertools.count(seed):
        if stop.wait(_PAUSE_SECONDS):
            break
        try:
            embedding = _embed(channels, fleet, _photo(generator), turn)
            _search(channels, fleet, embedding, turn)
            fleet.answered += 1
        except (grpc.RpcError, ZeroDivisionError):  # nobody is there
            fleet.failed += 1
    channels.close()


def _embed(channels: "_Channels", fleet: Fleet, photo: bytes, turn: int) -> Any:
    addresses = fleet.addresses(EMBEDDER)
    stub = EmbedderServiceStub(channels.to(addresses[turn % len(addresses)]))
    priority = embedder_pb2.PRIORITY_BULK if turn % 5 == 0 else embedder_pb2.PRIORITY_ONLINE
    asked = embedder_pb2.EmbedRequest(images=[embedder_pb2.Image(content=photo)], priority=priority)
    return stub.Embed(asked, timeout=_DEADLINE_SECONDS).results[0].embeddings[0]


def _search(channels: "_Channels", fleet: Fleet, embedding: Any, turn: int) -> None:
    addresses, indexes = fleet.addresses(SEARCH), fleet.indexes
    stub = SearchServiceStub(channels.to(addresses[turn % len(addresses)]))
    asked = search_pb2.SearchRequest(
        index=indexes[turn // 2 % len(indexes)], query=search_pb2.Query(embedding=embedding)
    )
    stub.Search(asked, timeout=_DEADLINE_SECONDS)


def _photo(generator: np.random.Generator) -> bytes:
    file = io.BytesIO()
    shade = tuple(int(value) for value in generator.integers(1, 255, 3))
    Image.new("RGB", (64, 64), shade).save(file, "JPEG")
    return file.getvalue()


class _Channels:
    """One to each address."""

    def __init__(self) -> None:
        self._open: dict[str, grpc.Channel] = {}

    def to(self, address: str) -> grpc.Channel:
        if address not in self._open:
            self._open[address] = grpc.insecure_channel(address)
        return self._open[address]

    def close(self) -> None:
        for channel in self._open.values():
            channel.close()
