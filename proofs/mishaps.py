"""Writers at once, files overwritten under a server, hostile names: nothing lost, nothing failed.

python -m proofs.mishaps [--writers N] [--writes N]
"""

import argparse
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from signal import Signals
from time import perf_counter, sleep

import grpc

from benchmarks.record import record, table
from proofs import promises
from proofs.catalogue import build_of, change
from proofs.replica import Replica, by_item, bystander, replica, workplace
from proofs.scenes import INDEX, ITEM
from search_service.build import prune, publish
from search_service.build.publish import generation_names
from search_service.manifest import FormatError, Manifest, blob_key
from search_service.store import Store, StoreError

WRITERS, WRITES = 4, 25
DEATH_SECONDS = 20


class Tally:
    """What was done, what became of it, and what was wrong."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str]] = []
        self.wrong: list[str] = []
        self.calls = 0

    def expect(self, fulfilled: bool, what: str) -> None:
        if not fulfilled:
            self.wrong.append(what)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--writers", type=int, default=WRITERS)
    parser.add_argument("--writes", type=int, default=WRITES, help="of each writer")
    options = parser.parse_args()
    begun = perf_counter()
    tally = Tally()
    with workplace() as folder:
        write_at_once(folder / "at-once", options.writers, options.writes, tally)
        damage_the_store(folder / "store-damage", tally)
        for name, damage in CACHE_DAMAGE.items():
            damage_the_cache(folder / name, name, damage, tally)
        hostile_names(folder / "hostile", tally)
    table("mishaps", ("what was done", "what became of it"), tally.rows)
    figures = {
        "writes_at_once": options.writers * options.writes,
        "calls_meanwhile": tally.calls,
        "wrong": len(tally.wrong),
        "seconds": round(perf_counter() - begun),
    }
    is_full = (options.writers, options.writes) == (WRITERS, WRITES)
    record("proof_mishaps", figures, is_full_size=is_full)
    if tally.wrong:
        raise SystemExit("\n".join(tally.wrong[:20]))


def write_at_once(folder: Path, writers: int, writes: int, tally: Tally) -> None:
    """Half of them publish to one index, half add to another, and somebody prunes both."""
    store = Store(folder / "store")
    build = build_of("forest", folder / "build")
    publish(store, "grown", build)
    publish(store, "published", build)
    with (
        ProcessPoolExecutor(writers, get_context("spawn")) as pool,
        replica(store, folder / "cache", poll_seconds=0.05) as running,
        bystander(running, "grown", by_item(ITEM)) as calls,
    ):
        running.refresh()
        work = [
            pool.submit(_write, store, build, number, writes, adds=number % 2 == 0)
            for number in range(writers)
        ]
        while not all(each.done() for each in work):
            with suppress(StoreError):  # a writer is at work
                prune(store, keep=10**6, grace_seconds=0)
            sleep(0.02)
        numbers = {"grown": [1], "published": [1]}
        for number, each in enumerate(work):
            numbers["grown" if number % 2 == 0 else "published"] += each.result()
        running.refresh()
        for index, got in numbers.items():
            known = [number for number, _ in generation_names(store, index)]
            tally.expect(sorted(got) == known, f"{index}: expected the numbers {got}, got {known}")
            tally.expect(
                promises.serving(store, index) == (max(got),) == (running.served(index),),
                f"{index}: expected {max(got)} to be served, got {running.served(index)}",
            )
            tally.wrong += promises.faults_of_files(store, index)
        lost = [item for item in _added(writers, writes) if not _is_there(running, item)]
        tally.expect(lost == [], f"expected every added item, got none of {lost[:5]}")
        tally.calls += calls.answered
    tally.expect(calls.failed == 0, f"calls while many wrote: got {calls.last_error}")
    done = f"{writers} processes publish and add {writers * writes} times at once, one prunes"
    tally.rows.append((done, "numbers unique and without a gap, every item there"))


def _write(store: Store, build: Path, writer: int, writes: int, *, adds: bool) -> list[int]:
    """The numbers of what one process published."""
    if not adds:
        return [publish(store, "published", build).manifest.number for _ in range(writes)]
    return [
        change(store, "grown", added=1, seed=writer * 1_000 + number).manifest.number
        for number in range(writes)
    ]


def _added(writers: int, writes: int) -> list[str]:
    return [
        f"new-{writer * 1_000 + number}-0000"
        for writer in range(0, writers, 2)
        for number in range(writes)
    ]


def _is_there(running: Replica, item: str) -> bool:
    try:
        return len(running.ask("grown", by_item(item), k=5).hits) == 5
    except grpc.RpcError:
        return False


def _overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"\xff" * path.stat().st_size)


def _cut(path: Path) -> None:
    os.truncate(path, 1)


def _replace(path: Path) -> None:
    path.unlink()
    path.write_bytes(b"another file")


DAMAGE: dict[str, Callable[[Path], None]] = {
    "overwritten": _overwrite,
    "cut": _cut,
    "replaced": _replace,
    "removed": Path.unlink,
}


def damage_the_store(folder: Path, tally: Tally) -> None:
    """What is served is the replica's own copy: nothing happens, not even when it starts again."""
    for name, damage in DAMAGE.items():
        store = Store(folder / name / "store")
        manifest = publish(store, INDEX, build_of("projected", folder / name / "build")).manifest
        cache = folder / name / "cache"
        with replica(store, cache) as running, bystander(running, INDEX, by_item(ITEM)) as calls:
            running.refresh()
            for blob in manifest.blobs().values():
                damage(store.root / blob_key(blob.sha256))
            running.refresh()
            _expect_answers(running, f"blobs {name} in the store", tally)
            tally.calls += calls.answered
        tally.expect(calls.failed == 0, f"blobs {name} in the store: got {calls.last_error}")
        with replica(store, cache) as again:
            _expect_answers(again, f"blobs {name} in the store, started again", tally)
        publish(store, INDEX, folder / name / "build")
        tally.wrong += promises.faults_of_files(store, INDEX)
    done = f"every blob in the store is {', '.join(DAMAGE)} under a replica"
    tally.rows.append((done, "served on; served after a restart; the next publish heals the store"))


CACHE_DAMAGE = {f"cache-{name}": damage for name, damage in DAMAGE.items()}


def damage_the_cache(folder: Path, name: str, damage: Callable[[Path], None], tally: Tally) -> None:
    """An operator's mistake: those files are mapped. Whatever happens, a restart makes it good."""
    store = Store(folder / "store")
    # Files of many pages: what is cut within its last page can still be read.
    build = build_of("projected", folder / "build", items=2_000)
    manifest = publish(store, INDEX, build).manifest
    with replica(store, folder / "cache") as running:
        running.refresh()
        before = running.ask(INDEX, by_item(ITEM))
        for blob in manifest.blobs().values():
            damage(folder / "cache/blobs" / blob.sha256)
        became = _what_becomes(running, before.hits)
    with replica(store, folder / "cache") as again:
        again.refresh()
        after = again.ask(INDEX, by_item(ITEM))
        tally.expect(after.hits == before.hits, f"{name}: expected the same answer after a restart")
    done = f"every blob in the cache is {name.removeprefix('cache-')}, against all advice"
    tally.rows.append((done, f"{became}; after a restart it answers as before"))
    if name in ("cache-replaced", "cache-removed"):
        tally.expect(became == "it answers as before", f"{name}: got {became}")


def _what_becomes(running: Replica, before: object) -> str:
    try:
        answers = [running.ask(INDEX, by_item(ITEM)).hits for _ in range(20)]
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.UNAVAILABLE:
            return f"calls fail: {error.code().name}"
        code = running.running.process.wait(DEATH_SECONDS)
        return f"the process ends by {Signals(-code).name}"
    return "it answers as before" if answers[-1] == before else "it answers with what lies there"


def _expect_answers(running: Replica, when: str, tally: Tally) -> None:
    served = running.served(INDEX)
    hits = running.ask(INDEX, by_item(ITEM), k=5).hits if served else ()
    tally.expect(len(hits) == 5, f"{when}: expected answers, got generation {served}")


def hostile_names(folder: Path, tally: Tally) -> None:
    """Nothing outside the store is read into it, written or removed; the others are served."""
    store, outside = Store(folder / "store"), folder / "outside"
    manifest = publish(store, INDEX, build_of("exact", folder / "build")).manifest
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    before = {path: path.read_bytes() for path in outside.iterdir()}
    _make_hostile(store, outside / "secret", manifest)
    with (
        replica(store, folder / "cache") as running,
        bystander(running, INDEX, by_item(ITEM)) as calls,
    ):
        running.refresh()
        _expect_answers(running, "beside hostile names", tally)
        loaded = {each.index for each in running.refresh().loaded}
        tally.expect(loaded == {INDEX}, f"hostile names: expected {INDEX} alone, got {loaded}")
        tally.calls += calls.answered
    tally.expect(calls.failed == 0, f"calls beside hostile names: got {calls.last_error}")
    held = [path for path in (folder / "cache").rglob("*") if path.is_file()]
    stolen = [path for path in held if b"secret" in path.read_bytes()]
    tally.expect(stolen == [], f"expected nothing from outside, got {stolen}")
    publish(store, INDEX, folder / "build")
    with suppress(OSError):  # its lock leads out
        publish(store, "linked-lock", folder / "build")
    _prune_beside(store, before=set(store.names("blobs")), tally=tally)
    after = {path: path.read_bytes() for path in outside.iterdir()}
    tally.expect(before == after, "hostile names: expected what is outside to stay as it was")
    done = "names with .. and blanks, links to files outside, a pipe, a folder for a blob"
    tally.rows.append((done, "left alone; nothing outside read or changed"))


def _prune_beside(store: Store, before: set[str], tally: Tally) -> None:
    """A prune takes nothing while it cannot tell what is needed, and what is needed never."""
    try:
        prune(store, keep=1, grace_seconds=0)
        tally.wrong.append("hostile names: expected a prune to be refused, got none")
    except (FormatError, OSError) as error:
        tally.rows.append(("a prune beside them", f"refused: {error}"))
    tally.expect(set(store.names("blobs")) == before, "expected a refused prune to take nothing")
    for path in (store.root / "indexes").iterdir():
        if path.is_dir() and path.name != INDEX:
            shutil.rmtree(path)
    (store.root / "blobs" / ("1" * 64)).rmdir()
    try:
        prune(store, keep=1, grace_seconds=0)
    except (OSError, StoreError) as error:
        tally.wrong.append(f"hostile names: expected a prune, got {error!r}")
    tally.wrong += promises.faults_of_files(store, INDEX)


def _make_hostile(store: Store, secret: Path, manifest: Manifest) -> None:
    indexes, blobs = store.root / "indexes", store.root / "blobs"
    for name in ("a b", "UPPER", "new\nline", "ümlaut", "-dash", "x" * 64, ".hidden"):
        shutil.copytree(indexes / INDEX, indexes / name)
    (indexes / "a-file").write_bytes(b"no index")
    linked = indexes / "linked-current"
    shutil.copytree(indexes / INDEX, linked)
    (linked / "CURRENT").unlink()
    (linked / "CURRENT").symlink_to(secret)
    locked = indexes / "linked-lock" / "generations"
    locked.mkdir(parents=True)
    (locked / ".lock").symlink_to(secret.with_name("made"))
    (blobs / ("0" * 64)).symlink_to(secret)
    (blobs / ("1" * 64)).mkdir()
    os.mkfifo(blobs / ("2" * 64))
    (blobs / "..secret").symlink_to(secret)
    key = blob_key(manifest.base.blobs["photos"].sha256)
    (store.root / "blobs" / f".{Path(key).name}.1.2.tmp").symlink_to(secret)


if __name__ == "__main__":
    main()
