"""What has to hold of a store whatever happened: asked of the files, then of who uses them."""

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from proofs.replica import by_item, replica
from search_service.build import prune, publish
from search_service.build.publish import generation_names, read_manifest
from search_service.manifest import (
    GENERATIONS,
    Current,
    FormatError,
    Manifest,
    blob_key,
    current_key,
    decode,
)
from search_service.store import Store, StoreError


def serving(store: Store, index: str) -> tuple[int, ...]:
    """The numbers of the generations that CURRENT names; none where there is no CURRENT."""
    data = store.read_or_none(current_key(index))
    if data is None:
        return ()
    return tuple(entry.generation for entry in decode(data, Current, "CURRENT").serving)


def faults_of_files(store: Store, index: str) -> Iterator[str]:
    """CURRENT names whole manifests, and every manifest that is found names whole blobs."""
    data = store.read_or_none(current_key(index))
    try:
        if data is not None:
            for entry in decode(data, Current, "CURRENT").serving:
                read_manifest(store, index, entry.generation, entry.manifest_sha256)
        for number, sha256 in generation_names(store, index):
            yield from faults_of_blobs(store, read_manifest(store, index, number, sha256))
    except (FormatError, OSError) as error:
        yield f"expected whole manifests, got {error}"


def faults_of_blobs(store: Store, manifest: Manifest) -> Iterator[str]:
    for blob in manifest.blobs().values():
        try:
            got = hashlib.sha256(store.read(blob_key(blob.sha256))).hexdigest()
        except OSError as error:
            got = str(error)
        if got != blob.sha256:
            yield f"expected all blobs of generation {manifest.number} whole, got {got}"


def faults_of_going_on(store: Store, index: str, build: Path) -> Iterator[str]:
    """The next publish needs no cleaning, and a prune after it takes what nobody needs, only."""
    known = [number for number, _ in generation_names(store, index)]
    try:
        published = publish(store, index, build).manifest
        if published.number <= max(known, default=0):
            yield f"expected a new number after {known}, got {published.number}"
        if published.number not in serving(store, index) and not _is_held(store, index):
            yield f"expected {published.number} to be current, got {serving(store, index)}"
        before = serving(store, index)
        prune(store, keep=1, grace_seconds=0)
    except (FormatError, StoreError, OSError) as error:
        yield f"expected the next publish and prune to succeed, got {error!r}"
        return
    if serving(store, index) != before:
        yield f"expected a prune to leave CURRENT alone, got {serving(store, index)}"
    yield from faults_of_files(store, index)
    if left := leftovers(store):
        yield f"expected a prune to take what died writers left, got {left}"


def leftovers(store: Store) -> list[str]:
    """Names of temporary files and folders."""
    hidden = (path for path in store.root.rglob(".*") if path.name != ".lock")
    return sorted(str(path.relative_to(store.root)) for path in hidden)


def _is_held(store: Store, index: str) -> bool:
    return store.read_or_none(f"indexes/{index}/HOLD") is not None


def faults_of_a_replica(store: Store, index: str, folder: Path, item_id: str) -> Iterator[str]:
    """A replica with an empty cache starts, serves what CURRENT names, and answers."""
    shutil.rmtree(folder / "cache", ignore_errors=True)
    wanted = serving(store, index)
    with replica(store, folder / "cache", log=folder / "replica.log") as started:
        status = started.refresh()
        got = tuple(sorted(each.generation for each in status.loaded if each.index == index))
        if got != tuple(sorted(wanted)):
            yield f"expected a replica to serve {wanted}, got {got}: {status.refused}"
        elif wanted and len(started.ask(index, by_item(item_id), k=5).hits) != 5:
            yield "expected a replica to answer with 5 hits, got fewer"


def visible(store: Store) -> str:
    """What a reader may come to, in one line: names, and contents where they say more.

    Manifests and HOLD hold the time of day: of them, and of CURRENT, the numbers count.
    """
    seen = []
    for path in sorted(store.root.rglob("*")):
        name = path.relative_to(store.root)
        if not path.is_file() or any(part.startswith(".") for part in name.parts):
            continue
        if match := GENERATIONS.fullmatch(path.name):
            seen.append(match[1])
        elif path.name == "CURRENT":
            seen.append(f"CURRENT {serving(store, path.parent.name)}")
        elif path.name == "HOLD":
            seen.append("HOLD")
        else:
            seen.append(f"{name} {hashlib.sha256(path.read_bytes()).hexdigest()}")
    return "\n".join(sorted(seen))
