"""A store in a local directory: whole files under keys, each replaced or removed as a whole.

Every write is a temporary name, fsync, rename, fsync of the folders above: a reader sees the old
file or the new one, and after a power cut too. Writers hold a lock that the kernel releases when
they die, so a killed publish leaves nothing to clean but temporary files, which the next prune
takes.
"""

import fcntl
import hashlib
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from search_service.manifest import Blob, FormatError, blob_key

_KEY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")
# Where a kernel does not preempt itself, a write of 1 MiB held up other processes for 28 ms, one of
# 64 KiB for 5; in all they took equally long.
_CHUNK = 64 << 10


class StoreError(Exception):
    """The store cannot be read or written: *which key, what was expected, what came*."""


class Changed(StoreError):
    """Somebody else changed the key in the meantime."""


class Store:
    """Files by key. No key leads out of the folder, and a link in place of a file is not followed.

    A folder may be a link: an operator puts blobs/ on another disk so.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def read(self, key: str) -> bytes:
        """The bytes of a key; FileNotFoundError where there are none."""
        with os.fdopen(self._open(key), "rb") as file:
            return file.read()

    def names(self, folder: str) -> list[str]:
        """The names directly below a folder, sorted; none if it does not exist."""
        try:
            found = [path.name for path in self._path(folder).iterdir()]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(name for name in found if _KEY.fullmatch(name))

    def age_seconds(self, key: str) -> float:
        """How long ago the key was written or last taken up by a publish."""
        return time.time() - self._path(key).stat().st_mtime

    def size(self, key: str) -> int:
        """Bytes under a key."""
        return self._path(key).stat().st_size

    def put(self, key: str, data: bytes) -> None:
        """Writes a key whole, over what was there."""
        path = self._path(key)
        temporary = _temporary(path)
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                _sync(file.fileno())
            temporary.replace(path)
            self._sync_folders(path.parent)
        finally:
            temporary.unlink(missing_ok=True)

    def replace(self, key: str, data: bytes, expected: bytes | None) -> None:
        """Compare and swap: raises Changed unless the key holds `expected` (None: nothing)."""
        with self.lock(f"{Path(key).parent}"):
            if self.read_or_none(key) != expected:
                raise Changed(f"{key}: expected what was read before, got something newer")
            self.put(key, data)

    def read_or_none(self, key: str) -> bytes | None:
        try:
            return self.read(key)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def put_blob(self, source: Path) -> Blob:
        """Copies a file in under its SHA-256, over one that is there: that heals a damaged one."""
        folder = self._path("blobs")
        temporary = _temporary(folder / "blob")
        try:
            with source.open("rb") as reader, temporary.open("xb") as writer:
                blob = _copy(reader.fileno(), writer.fileno())
                _sync(writer.fileno())
            temporary.replace(self._path(blob_key(blob.sha256)))
            self._sync_folders(folder)
            return blob
        finally:
            temporary.unlink(missing_ok=True)

    def has_blob(self, blob: Blob) -> bool:
        """Whether a file of its name and size is there."""
        path = self._path(blob_key(blob.sha256))
        return path.is_file() and path.stat().st_size == blob.bytes

    def fetch(self, blob: Blob, target: Path) -> None:
        """Copies a blob out to `target`, which appears whole and verified or not at all."""
        temporary = _temporary(target)
        try:
            with (
                os.fdopen(self._open(blob_key(blob.sha256)), "rb") as reader,
                temporary.open("xb") as writer,
            ):
                got = _copy(reader.fileno(), writer.fileno())
                if got != blob:
                    raise FormatError(
                        f"{blob_key(blob.sha256)}: expected {blob.bytes} bytes of that SHA-256, "
                        f"got {got.bytes} bytes of {got.sha256}"
                    )
                _sync(writer.fileno())
            temporary.replace(target)
            _sync_folder(target.parent)
        finally:
            temporary.unlink(missing_ok=True)

    def delete(self, *keys: str) -> None:
        """Removes keys, for good by the time it returns; those that are not there are no error."""
        paths = [self._path(key) for key in keys]
        for path in paths:
            path.unlink(missing_ok=True)
        for folder in {path.parent for path in paths}:
            if folder.is_dir():
                _sync_folder(folder)

    def leftovers(self, folder: str | None = None) -> list[Path]:
        """Temporary files of writers that died; None: in the store's own folder."""
        place = self._path(folder) if folder else self.root
        return sorted(place.glob(".*.tmp"))

    @contextmanager
    def lock(self, folder: str, *, shared: bool = False, wait: bool = True) -> Iterator[None]:
        """Holds a folder's lock; the kernel releases it when the process dies."""
        path = self._path(folder) / ".lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        flags = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB)
        mode = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(path, mode, 0o666), "ab") as file:
            try:
                fcntl.flock(file, flags)
            except BlockingIOError:
                raise StoreError(f"{folder}: another writer is at work, try again") from None
            yield

    def _sync_folders(self, folder: Path) -> None:
        """Up to the store's own: whoever made one of them may have died before it was on disk."""
        while folder != self.root:
            _sync_folder(folder)
            folder = folder.parent
        _sync_folder(folder)

    def _open(self, key: str) -> int:
        # Without O_NONBLOCK a pipe in place of a file would hold its reader for ever.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        return os.open(self._path(key), flags)

    def _path(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise StoreError(f"key: expected names of letters, digits and . _ - /, got {key!r}")
        return self.root / key


def _temporary(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns()}.tmp")


def _copy(reader: int, writer: int) -> Blob:
    hasher = hashlib.sha256()
    size = 0
    buffer = memoryview(bytearray(_CHUNK))
    while length := os.readv(reader, [buffer]):
        chunk = buffer[:length]
        hasher.update(chunk)
        size += length
        while chunk:
            chunk = chunk[os.write(writer, chunk) :]
    return Blob(sha256=hasher.hexdigest(), bytes=size)


def _sync(descriptor: int) -> None:
    os.fsync(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
