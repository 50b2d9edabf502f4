"""A disk that fills up at any point of a write, under a publisher and under a replica's cache.

python -m proofs.full_disk        (as root: it mounts small file systems in memory)

The disk is made larger page by page until the write fits: each time before, the write fails, what
CURRENT named is served as before, no half-written file stays, and once there is room the next
publish succeeds. The same for a disk that has no room for another file, and for one that is mounted
read-only.
"""

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from time import perf_counter

from benchmarks.record import record, table
from proofs import promises
from proofs.replica import by_item, bystander, replica, workplace
from proofs.scenes import INDEX, ITEM, Builds, Scene, scenes
from search_service.build import publish
from search_service.store import Store, StoreError

PAGE = 4096
AMPLE = "size=256m,nr_inodes=10000"
ROOM_BYTES = 96 << 20  # more than the margin that a replica leaves free


# What a replica says of a full cache: before it fetches, while it does, before it has begun.
PASSING = ("no_disk", "blob_unreadable", "failed")


class Tally:
    """What was tried on a full disk, and what was wrong with what became of it."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, int, str]] = []
        self.wrong: list[str] = []
        self.calls = 0

    def expect(self, fulfilled: bool, what: str) -> None:
        if not fulfilled:
            self.wrong.append(what)


def main() -> None:
    if os.geteuid() != 0:
        raise SystemExit("proofs.full_disk: expected root, which may mount, got another user")
    begun = perf_counter()
    tally = Tally()
    with workplace() as folder:
        builds = Builds.make(folder / "builds")
        for scene in scenes(builds):
            if scene.name not in ("release", "prune"):  # which write nothing
                fill_up(scene, builds, folder, tally)
        fill_up_a_cache(builds, folder, tally)
        read_only(builds, folder, tally)
    table("a full disk", ("under", "times", "what became of it"), tally.rows)
    figures = {
        "times_full": sum(times for _, times, _ in tally.rows),
        "calls_meanwhile": tally.calls,
        "wrong": len(tally.wrong),
        "seconds": round(perf_counter() - begun),
    }
    record("proof_full_disk", figures, is_full_size=True)
    if tally.wrong:
        raise SystemExit("\n".join(tally.wrong[:20]))


@contextmanager
def disk(folder: Path, options: str = AMPLE) -> Iterator[Path]:
    """A file system of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "proof", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def change_disk(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


def fill_up(scene: Scene, builds: Builds, folder: Path, tally: Tally) -> None:
    times = 0
    for limit in (_of_pages, _of_files):
        with disk(folder / "disk") as small:
            store = Store(small / "store")
            for room in count():
                # Anew each time: what a failed write leaves takes room as well.
                change_disk(small, AMPLE)
                shutil.rmtree(store.root, ignore_errors=True)
                scene.before(store)
                before = promises.serving(store, INDEX)
                change_disk(small, limit(small, room))
                if not _fails(scene, store):
                    break
                times += 1
                _check(store, before, f"{scene.name}, {limit(small, room)}", tally)
                change_disk(small, AMPLE)
                tally.wrong += [
                    f"{scene.name}, with room again: {fault}"
                    for fault in promises.faults_of_going_on(store, INDEX, builds.next)
                ]
    tally.rows.append((scene.name, times, "failed, nothing lost; went on once there was room"))


def _of_pages(small: Path, room: int) -> str:
    used = os.statvfs(small)
    pages = used.f_blocks - used.f_bfree + room
    return f"size={max(1, pages) * PAGE}"  # 0 is no limit at all


def _of_files(small: Path, room: int) -> str:
    used = os.statvfs(small)
    return f"nr_inodes={used.f_files - used.f_ffree + room}"


def _fails(scene: Scene, store: Store) -> bool:
    try:
        scene.work(store)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, None):  # numpy tells no number
            raise
        return True
    return False


def _check(store: Store, before: tuple[int, ...], when: str, tally: Tally) -> None:
    tally.wrong += [f"{when}: {fault}" for fault in promises.faults_of_files(store, INDEX)]
    now = promises.serving(store, INDEX)
    tally.expect(now == before, f"{when}: expected {before} to be current, got {now}")
    left = promises.leftovers(store)
    tally.expect(left == [], f"{when}: expected nothing half-written, got {left}")


def fill_up_a_cache(builds: Builds, folder: Path, tally: Tally) -> None:
    """The old generation serves while there is no room for the new one, and then the new one."""
    store = Store(folder / "served")
    publish(store, INDEX, builds.first)
    with disk(folder / "cache-disk") as small, replica(store, small / "cache") as running:
        running.refresh()
        publish(store, INDEX, builds.second)
        with bystander(running, INDEX, by_item(ITEM)) as calls:
            for options in _too_small(small):
                change_disk(small, options)
                latest = running.refresh().refused[:1]
                if running.served(INDEX) == 2:
                    break  # there was room
                reason = latest[0].reason if latest else "nothing"
                tally.rows.append((f"a replica's cache, {options}", 1, reason))
                tally.expect(
                    running.served(INDEX) == 1 and reason in PASSING,
                    f"cache with {options}: expected 1 to be served, got {reason}",
                )
            change_disk(small, AMPLE)
            running.refresh()
            served = running.served(INDEX)
            tally.expect(served == 2, f"cache with room again: expected 2, got {served}")
        tally.calls += calls.answered
        tally.expect(calls.failed == 0, f"calls on a full cache: got {calls.last_error}")


def _too_small(small: Path) -> Iterator[str]:
    """No room that a replica sees before it fetches, and room for no file, or too few."""
    yield _of_pages(small, 2)
    for room in count():
        yield f"{_of_pages(small, ROOM_BYTES // PAGE)},{_of_files(small, room)}"


def read_only(builds: Builds, folder: Path, tally: Tally) -> None:
    """A replica needs no more of its store; a publisher says what is wrong."""
    with disk(folder / "read-only") as small:
        store = Store(small / "store")
        publish(store, INDEX, builds.first)
        change_disk(small, "ro")
        tally.wrong += [
            f"read-only: {fault}"
            for fault in promises.faults_of_a_replica(store, INDEX, folder, ITEM)
        ]
        try:
            publish(store, INDEX, builds.second)
            tally.wrong.append("read-only: expected a publish to fail, got none")
        except (OSError, StoreError) as error:
            tally.rows.append(("a read-only store", 1, f"served; a publish fails: {error}"))
        change_disk(small, "rw")
        tally.wrong += [
            f"writable again: {fault}"
            for fault in promises.faults_of_going_on(store, INDEX, builds.next)
        ]


if __name__ == "__main__":
    main()
