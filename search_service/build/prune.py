"""Removes what nothing needs any more; what a reader could still come to is left alone."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from search_service.build.publish import generation_names, read_current, read_manifest
from search_service.manifest import SHA256, blob_key, current_key, hold_key, manifest_key
from search_service.store import Store


@dataclass(frozen=True)
class Pruned:
    """What went: keys, and the bytes of the blobs among them."""

    manifests: tuple[str, ...]
    blobs: tuple[str, ...]
    bytes: int


def prune(store: Store, *, keep: int, grace_seconds: float, dry_run: bool = False) -> Pruned:
    """Keeps `keep` generations an index, those that CURRENT names and their parents.

    Anything younger than the grace stays, and so does every generation of an index on hold. Raises
    StoreError while a publish is under way, and FormatError where a CURRENT cannot be read: then
    nothing tells what is needed.
    """
    with store.lock("blobs", wait=False):
        manifests, wanted = _split(store, keep, grace_seconds)
        blobs = [
            name
            for name in store.names("blobs")
            if SHA256.fullmatch(name)  # whatever else lies there is not ours
            and name not in wanted
            and store.age_seconds(blob_key(name)) >= grace_seconds
        ]
        size = sum(store.size(blob_key(name)) for name in blobs)
        if not dry_run:
            # Manifests first: one that names a missing blob must never be found.
            store.delete(*manifests)
            store.delete(*map(blob_key, blobs))
            for leftover in _leftovers(store):
                _remove(leftover)
    return Pruned(tuple(manifests), tuple(blob_key(name) for name in blobs), size)


def _leftovers(store: Store) -> list[Path]:
    """What writers that died left: no other lives while the blobs' lock is held."""
    folders: list[str | None] = [None, "blobs"]
    for index in store.names("indexes"):
        folders += [f"indexes/{index}", f"indexes/{index}/generations"]
    return [path for folder in folders for path in store.leftovers(folder)]


def _remove(leftover: Path) -> None:
    if leftover.is_dir() and not leftover.is_symlink():
        shutil.rmtree(leftover)
    else:
        leftover.unlink(missing_ok=True)


def _split(store: Store, keep: int, grace_seconds: float) -> tuple[list[str], set[str]]:
    """The manifests to remove, and the blobs that the others name."""
    removed: list[str] = []
    wanted: set[str] = set()
    for index in store.names("indexes"):
        kept = _kept(store, index, keep)
        for number, sha256 in generation_names(store, index):
            key = manifest_key(index, number, sha256)
            if sha256 in kept or store.age_seconds(key) < grace_seconds:
                wanted |= read_manifest(store, index, number, sha256).blobs().keys()
            else:
                removed.append(key)
    return removed, wanted


def _kept(store: Store, index: str, keep: int) -> set[str]:
    names = generation_names(store, index)
    if store.read_or_none(hold_key(index)) is not None:
        return {sha256 for _, sha256 in names}
    kept = {sha256 for _, sha256 in names[max(0, len(names) - keep) :]}
    if store.read_or_none(current_key(index)) is None:
        return kept
    _, current = read_current(store, index)
    for entry in current.serving:
        kept.add(entry.manifest_sha256)
        manifest = read_manifest(store, index, entry.generation, entry.manifest_sha256)
        if manifest.parent is not None:
            kept.add(manifest.parent.sha256)
    return kept
