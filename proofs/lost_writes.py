"""What a power cut may lose: every state of the disk that POSIX allows, at every step of a write.

python -m proofs.lost_writes [--most N]

strace records what each verb does to the store, byte by byte. Before the first operation, between
any two and after the last, the disk of proofs/disk.py says what may be there; each state that is
new is laid out as a real folder, and has to keep every promise. What a verb has reported as done
stays done.
"""

import argparse
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from time import perf_counter

from benchmarks.record import record, table
from proofs import promises
from proofs.disk import Disk, State
from proofs.replica import workplace
from proofs.scenes import INDEX, Builds, Scene, new_store, scenes
from proofs.traced import trace
from search_service.build import publish
from search_service.build.publish import read_current, read_manifest
from search_service.cache import Cache
from search_service.manifest import encode
from search_service.pins import Pin
from search_service.store import Store

MOST = 256  # states a step where there are more
_SINCE = datetime(2026, 1, 1, tzinfo=UTC)
_CALLS = (
    "openat,open,creat,write,pwrite64,writev,fsync,fdatasync,rename,renameat,renameat2,unlink,"
    "unlinkat,mkdir,mkdirat,rmdir,link,linkat,symlink,ftruncate,truncate,copy_file_range,sendfile"
)
_LINE = re.compile(r"^(\w+)\((.*)\)\s+= (-?\d+)")
_BYTES = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_DESCRIPTOR = re.compile(r"^(\d+)<((?:\\x[0-9a-f]{2})*)>")


@dataclass(frozen=True)
class Operation:
    """A system call that changed the store, its paths below the store's folder."""

    call: str
    paths: tuple[str, ...]
    data: bytes = b""
    flags: str = ""


@dataclass
class Tally:
    """By scene."""

    operations: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--most", type=int, default=MOST, help="states a step")
    options = parser.parse_args()
    begun = perf_counter()
    tally = Tally()
    with workplace() as folder:
        builds = Builds.make(folder / "builds")
        for scene in scenes(builds):
            cut_power(scene, builds.next, folder, options.most, tally)
        _cut_power_of_a_replica(builds, folder, options.most, tally)
    table(
        "power cuts",
        ("of", "operations", "states of the disk"),
        [(name, count, tally.states[name]) for name, count in tally.operations.items()],
    )
    figures = {
        "states": tally.states.total(),
        "wrong": len(tally.wrong),
        "seconds": round(perf_counter() - begun),
    }
    record("proof_lost_writes", figures, is_full_size=options.most >= MOST)
    if tally.wrong:
        raise SystemExit("\n".join(tally.wrong[:20]))


def cut_power(scene: Scene, next_build: Path, folder: Path, most: int, tally: Tally) -> None:
    template = folder / "template"
    shutil.rmtree(template, ignore_errors=True)
    scene.before(Store(template))
    before = promises.serving(Store(template), INDEX)
    store = new_store(template, folder / "store")
    operations = recorded(lambda: scene.work(store), store.root, folder / "strace")
    after = promises.serving(store, INDEX)
    for step, state in _states(template, operations, most):
        found = Store(_laid_out(state, folder / "found"))
        may_serve = {after} if step == len(operations) else {before, after}
        tally.states[scene.name] += 1
        faults = list(promises.faults_of_files(found, INDEX))
        if not faults and promises.serving(found, INDEX) not in may_serve:
            faults = [f"expected one of {may_serve}, got {promises.serving(found, INDEX)}"]
        if not faults:
            faults = list(promises.faults_of_going_on(found, INDEX, next_build))
        done = operations[step - 1] if step else "nothing"
        tally.wrong += [f"{scene.name}, after {step} ({done}): {fault}" for fault in faults]
    tally.operations[scene.name] = len(operations)


def _cut_power_of_a_replica(builds: Builds, folder: Path, most: int, tally: Tally) -> None:
    """Its cache is worth what it can prove of it: whatever is found, the next start makes whole."""
    store = Store(folder / "served")
    publish(store, INDEX, builds.first)
    template = folder / "cache-before"
    _take_in(store, Cache(template))
    publish(store, INDEX, builds.second)
    root = new_store(template, folder / "cache").root
    operations = recorded(lambda: _take_in(store, Cache(root)), root, folder / "strace")
    name = "a replica's taking in"
    for step, state in _states(template, operations, most):
        tally.states[name] += 1
        try:
            _take_in(store, Cache(_laid_out(state, folder / "found")))
        except Exception as error:  # noqa: BLE001
            tally.wrong.append(f"{name}, after {step}: expected a start, got {error!r}")
    tally.operations[name] = len(operations)


def _take_in(store: Store, cache: Cache) -> None:
    """All that a replica writes while it takes CURRENT's generation in, and all that it reads."""
    cache.pins()
    cache.last_served(INDEX)
    _, current = read_current(store, INDEX)
    (entry,) = current.serving
    manifest = read_manifest(store, INDEX, entry.generation, entry.manifest_sha256)
    cache.keep_manifest(entry.manifest_sha256, encode(manifest))
    for blob in cache.unverified(manifest):
        cache.bring(store, blob)
    cache.keep_served(INDEX, current)
    cache.keep_pins((Pin(index=INDEX, entry=entry, reason="the proof", since=_SINCE),))
    cache.sweep([entry.manifest_sha256])
    copies = Store(cache.folder.parent)
    if faults := list(promises.faults_of_blobs(copies, manifest)):
        raise ValueError(faults[0])


def recorded(work: Callable[[], object], root: Path, log: Path) -> list[Operation]:
    """What the work did below a folder."""
    if trace(work, log, ["-y", "-xx", "-s", "100000000", "-e", f"trace={_CALLS}"]) != 0:
        raise RuntimeError("expected the work to end well")
    operations = (_operation(line, root) for line in log.read_text().splitlines())
    return [each for each in operations if each]


def _operation(line: str, root: Path) -> Operation | None:
    match = _LINE.match(line)
    if not match or int(match[3]) < 0:
        return None
    call, arguments = match[1], match[2]
    strings = [_decoded(each) for each in _BYTES.findall(arguments)]
    if descriptor := _DESCRIPTOR.match(arguments):
        paths = [_decoded(descriptor[2]).decode()]
        data = strings[0] if strings else b""
        if call in ("unlinkat", "renameat", "mkdirat", "renameat2"):
            # shutil.rmtree works below an open folder.
            paths, data = [f"{paths[0]}/{each.decode()}" for each in strings], b""
    else:
        paths, data = [each.decode() for each in strings], b""
    below = tuple(
        str(Path(each).relative_to(root)) for each in paths if Path(each).is_relative_to(root)
    )
    if not below or any(_is_scratch(each) for each in below):
        return None
    flags = next((each for each in arguments.split(", ") if each.startswith("O_")), "")
    return Operation(call, below, data, flags)


def _decoded(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def _is_scratch(path: str) -> bool:
    """Locks hold nothing, and nobody reads what a change builds in its own folder."""
    return path.endswith(".lock") or path.startswith(".change.")


def _states(
    template: Path, operations: Sequence[Operation], most: int
) -> Iterator[tuple[int, State]]:
    """Every state that is new, and after how many operations. Those after the last come again."""
    disk, chance = _disk_of(template), Random(0)
    known: set[int] = set()
    for step in range(len(operations) + 1):
        if step:
            apply(disk, operations[step - 1])
        if step == len(operations):
            known.clear()  # what is done has to stay done
        for state in disk.after_power_cut(most, chance):
            key = hash(frozenset(state.items()))
            if key not in known:
                known.add(key)
                yield step, state


def _disk_of(template: Path) -> Disk:
    disk = Disk()
    for path in sorted(template.rglob("*")):
        name = str(path.relative_to(template))
        if path.is_dir():
            disk.make_folder(name)
        elif not _is_scratch(name):
            disk.create(name, truncate=True)
            disk.write(name, path.read_bytes())
            disk.sync(name)
    for path in (template, *(each for each in template.rglob("*") if each.is_dir())):
        disk.sync(str(path.relative_to(template)))
    return disk


def apply(disk: Disk, operation: Operation) -> None:
    """Does to a disk what was done."""
    path = operation.paths[0]
    match operation.call:
        case "openat" | "open" | "creat":
            if "O_CREAT" in operation.flags or "O_TRUNC" in operation.flags:
                disk.create(path, truncate="O_TRUNC" in operation.flags)
        case "write":
            disk.write(path, operation.data)
        case "fsync" | "fdatasync":
            disk.sync(path)
        case "rename" | "renameat" | "renameat2":
            disk.rename(path, operation.paths[1])
        case "unlink" | "rmdir" | "unlinkat":
            disk.remove(path)
        case "mkdir" | "mkdirat":
            disk.make_folder(path)
        case other:
            raise ValueError(f"expected a call that the disk knows, got {other}")


def _laid_out(state: State, root: Path) -> Path:
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    for name, content in sorted(state.items()):
        if content is None:
            (root / name).mkdir()
        else:
            (root / name).write_bytes(content)
    return root


if __name__ == "__main__":
    main()
