"""Rolling restarts of both tiers under a backend, each pod on a host of its own behind a name.

python -m proofs.rollout [--rounds N] [--pods N] [--rate N] [--calls N] [--drain SECONDS]
    [--settle SECONDS] [--connection-age SECONDS]

Pods are replaced one at a time, with another address each, as Kubernetes replaces those of
deploy/kubernetes: the embedder's after the new one is ready, the search service's before. The
backend resolves dns:///NAME like any other and uses the client as it is. Then each tier gets one
pod more, and the time counts until that one has its share of the calls.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from lookalike_cli.processes import Running

from benchmarks.record import record, table
from proofs import tiers
from proofs.backend import Backend, Options, backend
from proofs.hosts import DOMAIN, TTL_SECONDS, Host, Network, name_server, set_apart
from proofs.pods import Pod, Tier
from proofs.replica import workplace
from search_service.store import Store

ROUNDS, PODS, RATE, CALLS = 10, 3, 100.0, 50_000
# As in deploy/kubernetes: minReadySeconds, after which a pod counts, and the next one's turn is.
DRAIN_SECONDS, SETTLE_SECONDS, CONNECTION_AGE_SECONDS = 5.0, 10.0, 60.0
# The client's own: between two looks at a name.
RESOLUTION_SECONDS = 2.0
FAIR = 0.7  # of an equal share
_WINDOW_SECONDS = 3.0


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="restarts of every pod")
    parser.add_argument("--pods", type=int, default=PODS, help="of each tier")
    parser.add_argument("--rate", type=float, default=RATE, help="calls a second")
    parser.add_argument("--calls", type=int, default=CALLS, help="at least so many in all")
    parser.add_argument("--drain", type=float, default=DRAIN_SECONDS)
    parser.add_argument("--settle", type=float, default=SETTLE_SECONDS, help="from pod to pod")
    parser.add_argument("--connection-age", type=float, default=CONNECTION_AGE_SECONDS)
    given = parser.parse_args(arguments)
    set_apart("proofs.rollout", arguments)
    with workplace() as folder:
        rollout = Rollout(folder, given)
        rollout.run()
    _report(rollout, given, is_full_size=given == parser.parse_args([]))


class Rollout:
    """What it leaves: the backend's calls, and how long one pod more of each tier waited."""

    def __init__(self, folder: Path, given: argparse.Namespace) -> None:
        self.calls: Backend
        self.share_seconds: dict[str, float] = {}
        self.least_share = 1.0
        self.rolling_seconds = 0.0
        self._folder = folder
        self._given = given
        self._store = Store(folder / "store")
        tiers.write_index(self._store, folder / "build")
        self._network = Network()
        self._telling = threading.Lock()

    def run(self) -> None:
        with ExitStack() as stack:
            self._names = stack.enter_context(name_server(self._network.address))
            self.tiers = [
                Tier("embedder", self._network, self._embedder, self._tell, surges=True),
                Tier("search", self._network, self._search, self._tell, surges=False),
            ]
            # Services end with the thread that started them: these live as long as the tiers.
            threads = stack.enter_context(ThreadPoolExecutor(len(self.tiers)))
            stack.callback(self._kill)
            list(threads.map(self._fill, self.tiers))
            host = self._network.host("backend")
            self.calls = stack.enter_context(backend(self._options(), host.under))
            began = time.monotonic()
            list(threads.map(self._roll, self.tiers))
            self.rolling_seconds = time.monotonic() - began
            list(threads.map(self._add_one, self.tiers))
            while self.calls.made() < self._given.calls:
                time.sleep(1)

    @property
    def stated_seconds(self) -> float:
        """Until a new pod has its share: gRPC spreads the ages by 10 %."""
        age: float = self._given.connection_age
        return 1.1 * age + TTL_SECONDS + RESOLUTION_SECONDS + _WINDOW_SECONDS

    def _options(self) -> Options:
        return Options(
            embedder=f"dns:///embedder.{DOMAIN}:50051",
            search=f"dns:///search.{DOMAIN}:50061",
            rate=self._given.rate,
        )

    def _fill(self, tier: Tier) -> None:
        for _ in range(self._given.pods):
            tier.grow()

    def _roll(self, tier: Tier) -> None:
        for _ in range(self._given.rounds):
            tier.roll(self._given.settle)

    def _add_one(self, tier: Tier) -> None:
        """How long one pod more waits for its share."""
        new = tier.grow()
        began = time.monotonic()
        share = 0.0
        while share < FAIR and time.monotonic() - began < 2 * self.stated_seconds:
            share = _shares(tier.pods)[tier.pods.index(new)]
        self.share_seconds[tier.name] = time.monotonic() - began
        self.least_share = min(self.least_share, *_shares(tier.pods))

    def _embedder(self, host: Host, number: int) -> Running:
        log = self._folder / f"embedder-{number}.log"
        return tiers.embedder(log, host.under, **self._settings(host, 50051))

    def _search(self, host: Host, number: int) -> Running:
        cache, log = self._folder / f"cache-{number}", self._folder / f"search-{number}.log"
        return tiers.search(self._store, cache, log, host.under, **self._settings(host, 50061))

    def _settings(self, host: Host, port: int) -> dict[str, Any]:
        return {
            "address": f"{host.address}:{port}",
            "admin_address": f"{host.address}:{port + 1}",
            "metrics_address": f"{host.address}:9100",
            "insecure": True,
            "drain_seconds": self._given.drain,
            "connection_age_seconds": self._given.connection_age,
        }

    def _tell(self) -> None:
        with self._telling:
            self._names.set({tier.name: tier.addresses() for tier in self.tiers})

    def _kill(self) -> None:
        for tier in self.tiers:
            for pod in tier.pods:
                pod.running.kill()


def _shares(pods: Sequence[Pod]) -> list[float]:
    """What each pod answers within a while, in equal shares: 1 is its own."""
    before = [pod.calls() for pod in pods]
    time.sleep(_WINDOW_SECONDS)
    grown = [pod.calls() - calls for pod, calls in zip(pods, before, strict=True)]
    return [len(pods) * each / max(1.0, sum(grown)) for each in grown]


def _report(rollout: Rollout, given: argparse.Namespace, *, is_full_size: bool) -> None:
    calls = rollout.calls
    stated = rollout.stated_seconds
    replaced = {tier.name: tier.replaced for tier in rollout.tiers}
    table(
        f"{given.rounds} rolling restarts of {given.pods} pods a tier, {given.rate:g} calls/s",
        ("tier", "pods replaced", "exit codes", "one more has its share after, s"),
        [
            (tier.name, tier.replaced, sorted(tier.exit_codes), rollout.share_seconds[tier.name])
            for tier in rollout.tiers
        ],
    )
    figures = {
        "calls": len(calls.calls),
        "failed": len(calls.failed),
        "replaced": replaced,
        "rolling_seconds": round(rollout.rolling_seconds),
        "call_p50_ms": round(calls.percentile_ms(50), 1),
        "call_p99_ms": round(calls.percentile_ms(99), 1),
        "call_longest_ms": round(calls.percentile_ms(100), 1),
        "share_seconds": {name: round(each, 1) for name, each in rollout.share_seconds.items()},
        "share_stated_seconds": round(stated, 1),
        "least_share": round(rollout.least_share, 2),
    }
    record("proof_rollout", figures, is_full_size=is_full_size)
    if calls.failed:
        raise SystemExit(f"expected no failed call, got {calls.errors()}")
    if max(rollout.share_seconds.values()) > stated:
        raise SystemExit(f"expected a new pod to have its share within {stated:.0f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
