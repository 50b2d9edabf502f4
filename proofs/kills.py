"""kill -9 at every system call of whatever writes to a store, and at any moment of a swap.

python -m proofs.kills [--every N] [--random N] [--swaps N]

strace kills the writer where it enters a call: before the first, between any two, after the last.
After each kill CURRENT names whole generations, what it named before or what the work was to leave;
the next publish needs no cleaning and a prune takes nothing that is needed. Wherever the files that
readers see differ, a replica starts and serves. The same for kills at random moments, and for a
replica's own taking in, killed at its system calls and at random.
"""

import argparse
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from time import perf_counter, sleep

from prometheus_client import CollectorRegistry

from benchmarks.record import record, table
from proofs import promises
from proofs.catalogue import build_of
from proofs.replica import by_item, replica, workplace
from proofs.scenes import INDEX, ITEM, Builds, Scene, new_store, scenes
from proofs.traced import Place, killed_after, killed_at, places
from search_service import fetch
from search_service.build import publish
from search_service.cache import Cache
from search_service.catalog import Catalog
from search_service.loader import Loader
from search_service.metrics import SearchMetrics
from search_service.store import Store

RANDOM_KILLS = 360  # a sixth of them come too late
SWAPS = 30
# A replica starts Python's copying and check of the files, whose start is not the store's business.
CALLS_OF_A_SWAP = ("openat", "write", "fsync", "rename", "unlink", "mkdir", "flock", "close")


@dataclass
class Tally:
    """Kills, states that readers can tell apart, and what was wrong."""

    starts_replicas: bool = True
    kills: Counter[str] = field(default_factory=Counter)
    at_random: int = 0
    states: dict[str, set[str]] = field(default_factory=dict)
    replicas: int = 0
    wrong: list[str] = field(default_factory=list)

    def is_new(self, name: str, state: str) -> bool:
        known = self.states.setdefault(name, set())
        is_new = state not in known
        known.add(state)
        return is_new


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="kill at every Nth system call only")
    parser.add_argument("--random", type=int, default=RANDOM_KILLS)
    parser.add_argument("--swaps", type=int, default=SWAPS)
    options = parser.parse_args()
    begun = perf_counter()
    tally = Tally()
    with workplace() as folder:
        builds = Builds.make(folder / "builds")
        written = scenes(builds)
        for scene in written:
            Interrupted(scene, builds.next, folder, tally).run(
                options.every, options.random // len(written)
            )
        kill_takings_in(builds, folder, tally, options.every)
        kill_replicas(folder, tally, options.swaps)
    table(
        "kill -9",
        ("of", "kills", "states that readers can tell apart"),
        [(name, count, len(tally.states.get(name, ()))) for name, count in tally.kills.items()],
    )
    figures = {
        "kills": tally.kills.total(),
        "kills_at_random": tally.at_random,
        "replicas_started": tally.replicas,
        "wrong": len(tally.wrong),
        "seconds": round(perf_counter() - begun),
    }
    is_full = (options.every, options.random, options.swaps) == (1, RANDOM_KILLS, SWAPS)
    record("proof_kills", figures, is_full_size=is_full)
    if tally.wrong:
        raise SystemExit("\n".join(tally.wrong[:20]))


class Interrupted:
    """One scene, killed again and again, each time in a store as it is before."""

    def __init__(self, scene: Scene, next_build: Path, folder: Path, tally: Tally) -> None:
        self._scene = scene
        self._next_build = next_build
        self._folder = folder
        self._tally = tally
        self._template = folder / "template"
        shutil.rmtree(self._template, ignore_errors=True)
        scene.before(Store(self._template))
        self._before = promises.serving(Store(self._template), INDEX)
        self._duration = 0.0

    def run(self, every: int, at_random: int) -> None:
        store = self._new_store()
        begun = perf_counter()
        self._scene.work(store)
        self._duration = perf_counter() - begun
        self._may_serve = {self._before, promises.serving(store, INDEX)}
        store = self._new_store()
        found = places(lambda: self._scene.work(store), self._folder / "strace")
        for place in found[::every]:
            self._kill(place)
        chance = Random(self._scene.name)
        for _ in range(at_random):
            self._kill(chance.uniform(0, 1.2 * self._duration))

    def _kill(self, place: Place | float) -> None:
        store = self._new_store()

        def work() -> None:
            self._scene.work(store)

        if isinstance(place, Place):
            killed = killed_at(work, place, self._folder / "strace")
        else:
            killed = killed_after(work, place)
            self._tally.at_random += killed
        self._tally.kills[self._scene.name] += killed
        self._tally.wrong += [
            f"{self._scene.name}, {place}: {each}" for each in self._faults(store)
        ]

    def _faults(self, store: Store) -> Iterator[str]:
        found = list(promises.faults_of_files(store, INDEX))
        yield from found
        if found:
            return
        if promises.serving(store, INDEX) not in self._may_serve:
            yield f"expected one of {self._may_serve}, got {promises.serving(store, INDEX)}"
        is_new = self._tally.is_new(self._scene.name, promises.visible(store))
        if is_new and self._tally.starts_replicas:
            self._tally.replicas += 1
            yield from promises.faults_of_a_replica(store, INDEX, self._folder, ITEM)
        yield from promises.faults_of_going_on(store, INDEX, self._next_build)

    def _new_store(self) -> Store:
        return new_store(self._template, self._folder / "store")


def kill_takings_in(builds: Builds, folder: Path, tally: Tally, every: int) -> None:
    """A replica's loader, and its copying from the store, killed while a new generation comes."""
    store = Store(folder / "served")
    template, cache = folder / "cache-before", folder / "cache"
    publish(store, INDEX, builds.first)
    _look(store, template)
    published = publish(store, INDEX, builds.second)
    blobs = [f"{blob.sha256}:{blob.bytes}" for blob in published.manifest.blobs().values()]
    works: dict[str, Callable[[], object]] = {
        "a replica's taking in": lambda: _expect(_look(store, cache), [2]),
        # It has a process of its own, which strace does not see from the loader's.
        "a replica's copying": lambda: _expect(
            fetch.main("1", f"{store.root}", f"{cache}", *blobs), 0
        ),
    }

    def fresh(work: Callable[[], object]) -> Callable[[], object]:
        shutil.rmtree(cache, ignore_errors=True)
        shutil.copytree(template, cache)
        return work

    for name, work in works.items():
        found = places(fresh(work), folder / "strace")
        for place in [each for each in found if each.call in CALLS_OF_A_SWAP][::every]:
            tally.kills[name] += killed_at(fresh(work), place, folder / "strace")
            if not tally.is_new(name, _left_in(cache)):
                continue
            if (served := _look(store, cache)) != [2]:
                tally.wrong.append(f"{name}, {place}: expected generation 2, got {served}")
            if left := promises.leftovers(Store(cache)):
                tally.wrong.append(f"{name}, {place}: expected nothing left over, got {left}")


def _left_in(cache: Path) -> str:
    """What a killed replica left: what is whole, and of what kind the half-written files are."""
    half = [each.rpartition("/")[0] for each in promises.leftovers(Store(cache))]
    return f"{promises.visible(Store(cache))}\n{half}"


def _look(store: Store, folder: Path) -> list[int]:
    """What a fresh replica with this cache serves after one look."""
    catalog = Catalog()
    metrics = SearchMetrics(CollectorRegistry(), catalog)
    cache = Cache(folder)
    Loader(store, cache, catalog, metrics, indexes=(), on_look=lambda _: None).look()
    return [each.manifest.number for each in catalog.serving.generations.get(INDEX, ())]


def _expect(got: object, wanted: object) -> None:
    if got != wanted:
        raise RuntimeError(f"expected {wanted}, got {got}")


def kill_replicas(folder: Path, tally: Tally, swaps: int) -> None:
    """Whole replicas, killed at random moments of a swap, and started again over their cache."""
    store, home = Store(folder / "killed"), folder / "replica"
    chance = Random(0)
    publish(store, INDEX, build_of("forest", folder / "swap", seed=0))
    for number in range(2, swaps + 2):
        built = build_of("forest", folder / f"swap-{number}", seed=number)
        with replica(store, home / "cache", poll_seconds=0.05) as running:
            running.refresh()
            publish(store, INDEX, built)
            sleep(chance.uniform(0, 1.2))
            running.running.kill()
        with replica(store, home / "cache") as again:
            tally.replicas += 1
            tally.kills["a replica while it swaps"] += 1
            tally.at_random += 1
            again.refresh()
            served = again.served(INDEX)
            if served != number or len(again.ask(INDEX, by_item(ITEM), k=5).hits) != 5:
                tally.wrong.append(f"a killed replica: expected {number}, got {served}")


if __name__ == "__main__":
    main()
