"""Both tiers for twenty minutes: a swap every ten seconds, one call in a hundred a stranger's.

python -m proofs.soak [--minutes N] [--every SECONDS] [--rate N] [--hostile SHARE]

A backend calls through the client; meanwhile whole generations are published and old ones pruned.
What the services hold is looked at every few seconds. Its growth is fitted from a quarter of the
time on, when everything has been in use once; Ctrl-C ends the run with what was measured.
"""

from __future__ import annotations

import argparse
import shutil
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from lookalike_cli.processes import Running
from lookalike_cli.scrape import scrape

from benchmarks.footprint import Footprint
from benchmarks.record import record, table
from proofs import tiers
from proofs.backend import STRANGER, Backend, Options, backend
from proofs.replica import workplace
from search_service.apart import give_way
from search_service.build import prune
from search_service.store import Store

MINUTES, EVERY_SECONDS, RATE, HOSTILE = 20.0, 10.0, 50.0, 0.01
LOOK_SECONDS = 2.0
# The most that may be more at the end than after a quarter of the time. Pools of threads grow to
# their size when calls pile up, 2 or 3 maps each; large pictures that come together take memory
# that malloc keeps. A kilobyte lost with each call would be 60 MB, a generation's maps 500.
MOST_GROWTH = {"removed_files_mapped": 16, "maps": 192, "descriptors": 8, "threads": 64}
MOST_GROWTH_MB = {"embedder": 64.0, "search": 16.0}
HELD = ("anonymous_mb", *MOST_GROWTH)
_KEPT = 2  # generations
_PATIENCE_SECONDS = 60.0

Looks = list[tuple[float, Footprint]]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--every", type=float, default=EVERY_SECONDS, help="seconds, a swap")
    parser.add_argument("--rate", type=float, default=RATE, help="calls a second")
    parser.add_argument("--hostile", type=float, default=HOSTILE, help="a stranger's share")
    given = parser.parse_args(arguments)
    with workplace() as folder:
        soak = Soak(folder, given.every)
        soak.run(60 * given.minutes, given.rate, given.hostile)
    growth = {tier: soak.growth(tier) for tier in soak.looks}
    table(
        f"{given.minutes:g} minutes at {given.rate:g} calls/s, {given.hostile:.0%} hostile, a swap "
        f"every {given.every:g} s: what a service holds after a quarter of it, and then",
        ("tier", "", "after a quarter", "at the end", "an hour"),
        [(tier, *row) for tier, rows in growth.items() for row in rows],
    )
    calls = soak.calls
    figures: dict[str, Any] = {
        "minutes": given.minutes,
        "calls": len(calls.calls),
        "failed": soak.failed(hostile=False),
        "failed_hostile": soak.failed(hostile=True),
        "published": soak.published,
        "served": len(soak.served),
        "call_p50_ms": round(calls.percentile_ms(50), 1),
        "call_p99_ms": round(calls.percentile_ms(99), 1),
        "services": {
            tier: {name: values for name, *values in rows} for tier, rows in growth.items()
        },
    }
    record("proof_soak", figures, is_full_size=given == parser.parse_args([]))
    if wrong := [*soak.wrong(), *_grown(growth)]:
        raise SystemExit("\n".join(wrong))


class Soak:
    """looks: what each tier's process held, and when. calls: of the backend, at the end."""

    def __init__(self, folder: Path, every_seconds: float) -> None:
        self.looks: dict[str, Looks] = {"embedder": [], "search": []}
        self.calls: Backend
        self.served: set[int] = set()
        self.published = 0
        self._folder = folder
        self._every_seconds = every_seconds
        self._store = Store(folder / "store")
        # What makes generations is another machine's work: here it gives way.
        self._publisher = ThreadPoolExecutor(
            1, initializer=lambda: give_way(threading.get_native_id())
        )
        self._publish()

    def run(self, seconds: float, rate: float, hostile: float) -> None:
        log = self._folder / "log"
        with (
            tiers.embedder(log) as embedder,
            tiers.search(self._store, self._folder / "cache", log) as search,
            backend(
                Options(
                    embedder=embedder.address, search=search.address, rate=rate, hostile=hostile
                )
            ) as self.calls,
            suppress(KeyboardInterrupt),
        ):
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                self._swap({"embedder": embedder, "search": search})
            self._wait_for_the_last(search)

    def growth(self, tier: str) -> list[tuple[str, float, float, float]]:
        """Of each thing held: after a quarter of the time, at its end, more an hour."""
        looks = self.looks[tier][len(self.looks[tier]) // 4 :]
        hours = np.array([at for at, _ in looks]) / 3600
        rows = []
        for name in HELD:
            held = np.array([getattr(footprint, name) for _, footprint in looks], float)
            slope, begin = np.polyfit(hours - hours[0], held, 1)
            end = begin + slope * (hours[-1] - hours[0])
            rows.append((name, round(begin, 1), round(end, 1), round(slope, 1)))
        return rows

    def wrong(self) -> list[str]:
        """What failed."""
        found = []
        if self.failed(hostile=False):
            found.append(f"expected no failed call, got {self.calls.errors()}")
        if self.published not in self.served:
            found.append(f"expected generation {self.published} to be served, got {self.served}")
        return found

    def failed(self, *, hostile: bool) -> int:
        """Calls with trouble of a service: those of strangers, or those of the backend's users."""
        return sum(call.error.startswith(STRANGER) is hostile for call in self.calls.failed)

    def _publish(self) -> None:
        """A whole generation, made where the last one was."""
        folder = self._folder / "build"
        shutil.rmtree(folder, ignore_errors=True)
        published = tiers.write_index(self._store, folder, seed=self.published)
        self.published = published.manifest.number
        prune(self._store, keep=_KEPT, grace_seconds=0)

    def _swap(self, services: Mapping[str, Running]) -> None:
        next_swap = time.monotonic() + self._every_seconds
        self._publisher.submit(self._publish).result()
        while (left := next_swap - time.monotonic()) > 0:
            time.sleep(min(left, LOOK_SECONDS))
            self.served.add(_generation(services["search"]))
            for tier, running in services.items():
                self.looks[tier].append((time.monotonic(), Footprint.of(running.process.pid)))

    def _wait_for_the_last(self, search: Running) -> None:
        end = time.monotonic() + _PATIENCE_SECONDS
        while self.published not in self.served and time.monotonic() < end:
            self.served.add(_generation(search))
            time.sleep(0.1)


def _generation(search: Running) -> int:
    """What the replica says that it serves."""
    samples = scrape(search.metrics_address)
    return next(int(n) for (name, _), n in samples.items() if name == "lookalike_search_generation")


def _grown(growth: Mapping[str, Sequence[tuple[str, float, float, float]]]) -> list[str]:
    return [
        f"{tier}: expected {name} to stay, got {begin:g} and then {end:g}"
        for tier, rows in growth.items()
        for name, begin, end, _ in rows
        if end - begin > MOST_GROWTH.get(name, MOST_GROWTH_MB[tier])
    ]


if __name__ == "__main__":
    main()
