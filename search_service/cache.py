"""A replica's own copies of what it serves, so that nobody writes under a mapped file.

A blob appears under its SHA-256 when it is whole. Each process verifies each blob once before it
maps it; reading it for that also warms the page cache, with the GIL released.
"""

import hashlib
import shutil
from collections.abc import Collection, Iterable
from contextlib import ExitStack
from pathlib import Path

from search_service.manifest import (
    SHA256,
    Blob,
    Current,
    FormatError,
    Kind,
    Manifest,
    blob_key,
    decode,
    digest,
    encode,
)
from search_service.pins import Pin, decode_pins, encode_pins
from search_service.store import Store


class Cache:
    """Blobs, manifests, pins and what was served last of each index, in a folder of its own."""

    def __init__(self, root: Path) -> None:
        self._files = Store(root)
        self._verified: set[str] = set()
        self._claim = ExitStack()  # held until the process ends
        self.folder = root / "blobs"
        self.folder.mkdir(parents=True, exist_ok=True)

    def claim(self) -> None:
        """Takes the folder for this process; StoreError if another replica has it."""
        self._claim.enter_context(self._files.lock("blobs", wait=False))

    def missing_bytes(self, manifest: Manifest) -> int:
        """How much has to be fetched."""
        return sum(
            blob.bytes
            for blob in manifest.blobs().values()
            if not (self.folder / blob.sha256).exists()
        )

    def free_bytes(self) -> int:
        return shutil.disk_usage(self.folder).free

    def size_bytes(self) -> int:
        return shutil.disk_usage(self.folder).total

    def unverified(self, manifest: Manifest) -> list[Blob]:
        """What is missing, or was there before this process and may be damaged."""
        return [
            blob
            for blob in manifest.blobs().values()
            if blob.sha256 not in self._verified or not self._has(blob)
        ]

    def bring(self, store: Store, blob: Blob) -> None:
        """Fetches a blob unless it is here and whole. FormatError, FileNotFoundError, OSError."""
        if not self._is_whole(blob):
            store.fetch(blob, self.folder / blob.sha256)
        self.trust([blob])

    def trust(self, blobs: Iterable[Blob]) -> None:
        """These are here and whole."""
        self._verified.update(blob.sha256 for blob in blobs)

    def manifest(self, sha256: str) -> bytes | None:
        """The copy here; None where there is none, or one that is damaged."""
        data = self._files.read_or_none(f"manifests/{sha256}")
        return data if data is not None and digest(data) == sha256 else None

    def keep_manifest(self, sha256: str, data: bytes) -> Path:
        self._files.put(f"manifests/{sha256}", data)
        return self._files.root / "manifests" / sha256

    def last_served(self, index: str) -> Current | None:
        """What of the index was served here last."""
        data = self._files.read_or_none(f"current/{index}")
        return _decoded(data, Current)

    def keep_served(self, index: str, served: Current) -> None:
        self._files.put(f"current/{index}", encode(served))

    def indexes(self) -> list[str]:
        """The indexes that were ever served here."""
        return served_before(self._files.root)

    def pins(self) -> tuple[Pin, ...]:
        """What was pinned here and not taken out again."""
        return decode_pins(self._files.read_or_none("pins") or b"[]")

    def keep_pins(self, pins: tuple[Pin, ...]) -> None:
        self._files.put("pins", encode_pins(pins))

    def sweep(self, kept: Collection[str], refused: Collection[str] = ()) -> None:
        """Removes blobs that none of these manifests, by SHA-256, names, and all other manifests.

        refused: what stays as a manifest alone, which names its parent. A mapped file outlives its
        name.
        """
        manifests = (_decoded(self.manifest(sha256), Manifest) for sha256 in kept)
        wanted = {sha256 for manifest in manifests if manifest for sha256 in manifest.blobs()}
        unwanted = self._others("blobs", wanted)
        self._files.delete(*map(blob_key, unwanted))
        self._verified.difference_update(unwanted)
        left = self._others("manifests", {*kept, *refused})
        self._files.delete(*(f"manifests/{sha256}" for sha256 in left))
        for folder in (None, "blobs", "current", "manifests"):
            for leftover in self._files.leftovers(folder):
                leftover.unlink(missing_ok=True)

    def _others(self, folder: str, wanted: Collection[str]) -> list[str]:
        """What else lies in a folder under a SHA-256."""
        names = self._files.names(folder)
        return [name for name in names if name not in wanted and SHA256.fullmatch(name)]

    def _has(self, blob: Blob) -> bool:
        path = self.folder / blob.sha256
        return path.is_file() and path.stat().st_size == blob.bytes

    def _is_whole(self, blob: Blob) -> bool:
        if not self._has(blob):
            return False
        with (self.folder / blob.sha256).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == blob.sha256


def served_before(root: Path) -> list[str]:
    """The indexes that a replica with this folder ever served; it is only looked at."""
    return Store(root).names("current")


def _decoded(data: bytes | None, kind: type[Kind]) -> Kind | None:
    """A damaged copy is worth as much as none."""
    try:
        return None if data is None else decode(data, kind, "a cached copy")
    except FormatError:
        return None
