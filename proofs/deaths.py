"""kill -9 of replicas while a backend calls: what its users see, and how soon they are back.

python -m proofs.deaths [--kills N] [--callers N]

Two replicas of each tier, killed in turn, one at a time, and started again a second later on the
same port. CURRENT names a damaged generation, which every replica refuses: one that starts again
serves the newest good one, every second time out of an empty cache. At the end a good generation
is published, and whatever checks its files is killed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from lookalike.search.v1 import admin_pb2
from lookalike.search.v1.admin_pb2_grpc import IndexAdminServiceStub
from lookalike_cli.processes import Running

from benchmarks.record import record, table
from proofs import family, tiers
from proofs.backend import Backend, Options, backend
from proofs.replica import workplace
from search_service.manifest import blob_key
from search_service.store import Store

KILLS, CALLERS = 40, 48
RESTART_SECONDS = 5.0
# Until a killed replica is started again, and until the next is killed: the client finds one again
# within 2 s.
PAUSES_SECONDS = (1.0, 2.0)
_CHECK_SECONDS = 20.0
_GOOD = 2
# So that about half of the callers wait for either embedder at any moment.
_MODEL_MILLISECONDS = 10.0


@dataclass(frozen=True)
class Back:
    """A killed replica that is back: seconds from its start until it was ready; what it serves."""

    tier: str
    seconds: float
    generation: int | None


@dataclass
class Found:
    """What a run leaves: replicas that came back, checks that were killed, a backend's calls."""

    backs: list[Back] = field(default_factory=list)
    checks_killed: int = 0
    calls: int = 0
    failed: int = 0
    wrong: list[str] = field(default_factory=list)
    p50_ms: float = 0.0
    longest_ms: float = 0.0


class Replica:
    """One of a tier: where it listens, and how it is started there again."""

    def __init__(self, tier: str, start: Callable[..., Running], cache: Path | None = None) -> None:
        self.tier = tier
        self.cache = cache
        self._start = start
        self.running = start()
        self._addresses = {
            name: getattr(self.running, name)
            for name in ("address", "admin_address", "metrics_address")
        }

    @property
    def address(self) -> str:
        return self.running.address

    def kill(self) -> None:
        self.running.kill()

    def start_again(self) -> Back:
        began = time.monotonic()
        self.running = self._start(**self._addresses)
        seconds = time.monotonic() - began
        return Back(self.tier, seconds, self.served() if self.cache else None)

    def served(self, refresh: bool = False) -> int | None:
        """The generation that it serves."""
        with grpc.insecure_channel(self.running.admin_address) as channel:
            admin: Any = IndexAdminServiceStub(channel)
            if refresh:
                admin.Refresh(admin_pb2.RefreshRequest(), timeout=60)
            loaded = admin.GetStatus(admin_pb2.GetStatusRequest(), timeout=20).loaded
        return next((each.generation for each in loaded), None)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=KILLS, help="of all replicas together")
    parser.add_argument("--callers", type=int, default=CALLERS, help="calls that are always out")
    given = parser.parse_args(arguments)
    found = measure(given.kills, given.callers)
    killed = Counter(back.tier for back in found.backs)
    seconds = {tier: _longest(found, tier) for tier in killed}
    table(
        f"kill -9 of one of two replicas, {given.callers} calls out",
        ("tier", "kills", "back after at most, s"),
        [(tier, count, seconds[tier]) for tier, count in killed.items()],
    )
    figures = {
        "kills": killed.total(),
        "checks_killed": found.checks_killed,
        "calls": found.calls,
        "failed": found.failed,
        "restart_seconds": seconds,
        "call_p50_ms": round(found.p50_ms, 1),
        "call_longest_ms": round(found.longest_ms, 1),
        "wrong": len(found.wrong),
    }
    is_full_size = (given.kills, given.callers) == (KILLS, CALLERS)
    record("proof_deaths", figures, is_full_size=is_full_size)
    if found.wrong:
        raise SystemExit("\n".join(found.wrong[:20]))


def measure(
    kills: int, callers: int, pauses_seconds: tuple[float, float] = PAUSES_SECONDS
) -> Found:
    """Kills, restarts and what a backend saw."""
    found = Found()
    with workplace() as folder, ExitStack() as stack:
        store = Store(folder / "store")
        _write_generations(store, folder)
        replicas = [_replica(tier, n, store, folder) for n in (0, 1) for tier in _TIERS]
        for replica in replicas:
            stack.callback(replica.kill)
        options = Options(
            embedder=_target(replicas, "embedder"),
            search=_target(replicas, "search"),
            rate=0,
            threads=callers,
        )
        with backend(options) as calling:
            for number in range(kills):
                is_empty = number // 4 % 2 == 1
                found.backs.append(
                    _kill(replicas[number % 4], pauses_seconds, empty_cache=is_empty)
                )
            found.checks_killed = _kill_checks(replicas, store, folder, found)
        _judge(found, calling)
    return found


_TIERS = ("embedder", "search")


def _write_generations(store: Store, folder: Path) -> None:
    """Two good ones, and a damaged one that is CURRENT."""
    for seed in (1, 2):
        tiers.write_index(store, folder / f"build-{seed}", seed=seed)
    damaged = tiers.write_index(store, folder / "build-3", seed=3).manifest
    os.truncate(store.root / blob_key(damaged.base.blobs["vectors"].sha256), 5_000)


def _replica(tier: str, number: int, store: Store, folder: Path) -> Replica:
    log = folder / f"{tier}-{number}.log"
    if tier == "embedder":
        return Replica(tier, lambda **at: tiers.embedder(log, model=_MODEL_MILLISECONDS, **at))
    cache = folder / f"cache-{number}"
    return Replica(tier, lambda **at: tiers.search(store, cache, log, **at), cache)


def _target(replicas: Sequence[Replica], tier: str) -> str:
    return "ipv4:" + ",".join(each.address for each in replicas if each.tier == tier)


def _kill(replica: Replica, pauses: tuple[float, float], *, empty_cache: bool) -> Back:
    replica.kill()
    time.sleep(pauses[0])
    if empty_cache and replica.cache:
        shutil.rmtree(replica.cache)
    back = replica.start_again()
    time.sleep(pauses[1])
    return back


def _kill_checks(replicas: Sequence[Replica], store: Store, folder: Path, found: Found) -> int:
    """The checks of a good generation; it is taken in as soon as it is looked at again."""
    searching = [each for each in replicas if each.tier == "search"]
    good = tiers.write_index(store, folder / "build-4", seed=4).manifest.number
    waiting = {each.running.process.pid for each in searching}
    end = time.monotonic() + _CHECK_SECONDS
    while waiting and time.monotonic() < end:
        waiting -= {pid for pid in waiting if _kill_children(pid)}
        time.sleep(0.001)
    for replica in searching:
        if (served := replica.served(refresh=True)) != good:
            found.wrong.append(f"after a killed check: expected {good} to be served, got {served}")
    return len(searching) - len(waiting)


def _kill_children(pid: int) -> int:
    """How many there were."""
    children = family.children(pid)
    family.kill(children)
    return len(children)


def _judge(found: Found, calling: Backend) -> None:
    found.calls, found.failed = len(calling.calls), len(calling.failed)
    found.p50_ms, found.longest_ms = calling.percentile_ms(50), calling.percentile_ms(100)
    if found.failed:
        found.wrong.append(f"expected no failed call, got {calling.errors()}")
    for back in found.backs:
        if back.seconds > RESTART_SECONDS:
            found.wrong.append(
                f"{back.tier}: expected to be back in time, got {back.seconds:.1f} s"
            )
        if back.generation not in (None, _GOOD):
            found.wrong.append(f"expected generation {_GOOD} to be served, got {back.generation}")


def _longest(found: Found, tier: str) -> float:
    return round(max(back.seconds for back in found.backs if back.tier == tier), 2)


if __name__ == "__main__":
    main()
