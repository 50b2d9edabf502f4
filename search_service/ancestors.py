"""Which generations came before one that is refused: by their manifests' parents."""

from collections.abc import Iterator

from search_service.cache import Cache
from search_service.manifest import (
    GENERATIONS,
    Entry,
    FormatError,
    Manifest,
    decode,
    digest,
    manifest_key,
)
from search_service.store import Store, StoreError


class Ancestors:
    """What a replica's cache and its store know of them."""

    def __init__(self, store: Store, cache: Cache) -> None:
        self._store = store
        self._cache = cache

    def of(self, index: str, entry: Entry) -> Iterator[Entry]:
        """The newest first."""
        older = self._before(index, entry)
        while older is not None and older.generation < entry.generation:  # or it may go in a circle
            yield older
            entry, older = older, self._before(index, older)

    def _before(self, index: str, entry: Entry) -> Entry | None:
        """Its parent. Of a manifest that cannot be read: what was served here last, or else the
        generation of its space before it."""
        manifest = self._readable(index, entry.generation, entry.manifest_sha256)
        if manifest is None:
            return self._served_before(index, entry) or self._lower_in_store(index, entry)
        if manifest.parent is None:
            return None
        return Entry(
            space_id=entry.space_id,
            generation=manifest.parent.number,
            manifest_sha256=manifest.parent.sha256,
        )

    def _served_before(self, index: str, entry: Entry) -> Entry | None:
        last = self._cache.last_served(index)
        served = last.serving if last else ()
        older = (each for each in served if each.generation < entry.generation)
        return next((each for each in older if each.space_id == entry.space_id), None)

    def _lower_in_store(self, index: str, entry: Entry) -> Entry | None:
        try:
            names = self._store.names(f"indexes/{index}/generations")
        except OSError:
            return None
        for match in filter(None, map(GENERATIONS.fullmatch, reversed(names))):
            number, sha256 = int(match[1]), match[2]
            manifest = self._readable(index, number, sha256) if number < entry.generation else None
            if manifest and manifest.space_id == entry.space_id:
                return Entry(space_id=entry.space_id, generation=number, manifest_sha256=sha256)
        return None

    def _readable(self, index: str, number: int, sha256: str) -> Manifest | None:
        """A manifest from the cache, or else from the store, if it is what its name says."""
        key = manifest_key(index, number, sha256)
        try:
            data = self._cache.manifest(sha256) or self._store.read(key)
            return decode(data, Manifest, key) if digest(data) == sha256 else None
        except (FormatError, StoreError, OSError):
            return None
