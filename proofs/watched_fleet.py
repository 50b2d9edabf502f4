"""Both tiers as real processes, and Prometheus' list of them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from lookalike.search.v1 import admin_pb2
from lookalike.search.v1.admin_pb2_grpc import IndexAdminServiceStub
from lookalike_cli import processes
from lookalike_cli.processes import Running

from proofs.prometheus import Prometheus
from proofs.scenes import INDEX
from proofs.watched_embedder import Orders
from search_service.store import Store

EMBEDDER, NEXT_EMBEDDER, SEARCH = (
    f"lookalike-{it}" for it in ("embedder", "embedder-next", "search")
)
DECODERS = 2  # and one for large pictures


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
            {"model": model, "drain_seconds": 0, "threads": 8, "decoders": DECODERS, **settings},
            self._log(name),
        )
        self._add(name, job, running, is_asked)

    def start_search(self, name: str, *, is_asked: bool = True, **settings: Any) -> None:
        usual = {"drain_seconds": 0, "poll_seconds": 1, "live_recall_every": 1, "threads": 4}
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
