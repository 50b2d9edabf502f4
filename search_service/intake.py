"""Takes a published generation in: fetched, verified, checked, asked and mapped.

Whatever is wrong with it ends here, as a RefusedError with a word for metrics and a sentence for
people; nothing of it has come near a query yet.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from weakref import WeakSet

from lookalike_kit.memory import available_memory_bytes
from search_service.apart import RefusedError, run_apart
from search_service.cache import Cache
from search_service.engines.opening import EngineMissing, check_installed
from search_service.generation import Generation
from search_service.manifest import (
    Entry,
    FormatError,
    Manifest,
    Segment,
    decode,
    digest,
    encode,
    manifest_key,
)
from search_service.segment import MappedSegment
from search_service.store import Store

# Room that is left alone: a disk filled to the last byte fails others, too.
_DISK_MARGIN_BYTES = 64 << 20
# What is slower than so many bytes a second, after its first five minutes, hangs: a store, or a
# check that the smallest share of a core is left for.
_PACE = 5 << 20
_SECONDS = 300.0


class Intake:
    """Makes generations of what a store holds, by way of this replica's cache.

    cpu_share: how much of a core that takes at most, asked each time.
    """

    def __init__(
        self,
        store: Store,
        cache: Cache,
        max_mapped_bytes: int | None = None,
        cpu_share: Callable[[], float] = lambda: 1.0,
    ) -> None:
        self._store = store
        self._cache = cache
        self._max_mapped_bytes = max_mapped_bytes
        self._cpu_share = cpu_share
        self._mapped: WeakSet[MappedSegment] = WeakSet()  # as long as a generation holds them
        self._passed: set[str] = set()  # by manifest_sha256: the way back asks nothing twice

    def load(self, index: str, entry: Entry) -> Generation:
        """A generation ready to serve; RefusedError says what is wrong with it."""
        manifest, path = self._manifest(index, entry)
        _check_engines(manifest)
        self._check_budget(manifest)
        self._check_room(manifest)
        self._fetch(manifest)
        known = self._known(manifest)
        if entry.manifest_sha256 not in self._passed:
            self._check_files(manifest, path, [part.about for part in known])
        generation = Generation.open(manifest, entry.manifest_sha256, self._cache.folder, known)
        self._mapped.update(generation.segments.parts)
        self._passed.add(entry.manifest_sha256)
        return generation

    def _known(self, manifest: Manifest) -> list[MappedSegment]:
        """Segments that another generation took in already: they are neither checked nor mapped.

        A delta's base is what is served, so that only the delta costs anything.
        """
        return [part for part in self._mapped if part.is_one_of(manifest)]

    def _manifest(self, index: str, entry: Entry) -> tuple[Manifest, Path]:
        key = manifest_key(index, entry.generation, entry.manifest_sha256)
        data = self._cache.manifest(entry.manifest_sha256)
        if data is None:
            data = self._read(key)
        if digest(data) != entry.manifest_sha256:
            raise RefusedError(
                "hash_mismatch",
                f"{key}: expected SHA-256 {entry.manifest_sha256}, got {digest(data)}",
            )
        path = self._cache.keep_manifest(entry.manifest_sha256, data)
        try:
            manifest = decode(data, Manifest, key)
        except FormatError as error:
            raise RefusedError("bad_manifest", str(error)) from None
        got = (manifest.index, manifest.number, manifest.space_id)
        if got != (index, entry.generation, entry.space_id):
            raise RefusedError(
                "bad_manifest",
                f"{key}: expected {(index, entry.generation, entry.space_id)}, got {got}",
            )
        return manifest, path

    def _read(self, key: str) -> bytes:
        try:
            return self._store.read(key)
        except OSError as error:
            raise RefusedError("manifest_unreadable", f"{key}: got {error}", passing=True) from None

    def _check_budget(self, manifest: Manifest) -> None:
        """What is mapped here, of whatever index, with what this adds; shared blobs count once."""
        if self._max_mapped_bytes is None:
            return
        blobs = manifest.blobs()
        for part in self._mapped:
            blobs |= {blob.sha256: blob for blob in part.about.blobs.values()}
        total = sum(blob.bytes for blob in blobs.values())
        if total > self._max_mapped_bytes:
            raise RefusedError(
                "over_budget",
                f"mapped bytes: expected at most {self._max_mapped_bytes} for all that is served "
                f"and this generation, got {total}",
                passing=True,
            )

    def _check_room(self, manifest: Manifest) -> None:
        """Old and new are served side by side for a moment: both need their room."""
        missing, free = self._cache.missing_bytes(manifest), self._cache.free_bytes()
        if missing + _DISK_MARGIN_BYTES > free:
            raise RefusedError(
                "no_disk",
                f"cache: expected room for {missing} more bytes, got {free} free",
                passing=True,
            )
        available = available_memory_bytes()
        if available is not None and manifest.mapped_bytes > available:
            raise RefusedError(
                "no_memory",
                f"memory: expected {manifest.mapped_bytes} bytes to map, got {available} available",
                passing=True,
            )

    def _fetch(self, manifest: Manifest) -> None:
        if blobs := self._cache.unverified(manifest):
            named = [f"{blob.sha256}:{blob.bytes}" for blob in blobs]
            folders = str(self._store.root), str(self._cache.folder.parent)
            seconds = _patience_seconds(sum(blob.bytes for blob in blobs))
            share = self._cpu_share()
            run_apart("fetch", *folders, *named, cpu_share=share, seconds=seconds, passing=True)
            self._cache.trust(blobs)

    def _check_files(self, manifest: Manifest, path: Path, known: Sequence[Segment]) -> None:
        files = str(path), str(self._cache.folder), *(digest(encode(each)) for each in known)
        seconds = _patience_seconds(manifest.mapped_bytes)
        run_apart("check", *files, cpu_share=self._cpu_share(), seconds=seconds)


def _patience_seconds(size: int) -> float:
    return _SECONDS + size / _PACE


def _check_engines(manifest: Manifest) -> None:
    try:
        for segment in manifest.segments:
            check_installed(segment.engine)
    except EngineMissing as error:
        raise RefusedError("engine_missing", str(error)) from None
