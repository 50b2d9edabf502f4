"""Brings published generations into service, beside the queries and never across them.

It sees CURRENT change, takes in what that names and promotes it by rebinding one reference. What
fails is refused, named, counted and not tried again; what was served goes on serving.
"""

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf
from time import monotonic

from lookalike_kit import logs
from search_service.cache import Cache
from search_service.catalog import Catalog
from search_service.generation import Generation
from search_service.intake import Intake, RefusedError
from search_service.manifest import (
    NAME,
    Current,
    Entry,
    FormatError,
    Manifest,
    current_key,
    decode,
    digest,
)
from search_service.metrics import SearchMetrics
from search_service.store import Store, StoreError

_log = logs.get(__name__)
_NICENESS = 10
# A full disk or an unreadable blob may pass: such a refusal is looked at again after this.
_RETRY_SECONDS = 30.0


@dataclass(frozen=True)
class Refusal:
    """What was refused here, when and why."""

    index: str
    generation: int
    manifest_sha256: str
    reason: str
    message: str
    time: datetime


@dataclass(frozen=True)
class Promoted:
    """Since when a manifest is served here."""

    generation: Generation
    time: datetime
    is_current: bool


class Loader:
    """One thread that keeps the catalog what the store's CURRENT says."""

    def __init__(
        self,
        store: Store,
        cache: Cache,
        catalog: Catalog,
        metrics: SearchMetrics,
        *,
        indexes: Sequence[str],
        on_look: Callable[[], None],
    ) -> None:
        self._store = store
        self._cache = cache
        self._intake = Intake(store, cache)
        self._catalog = catalog
        self._metrics = metrics
        self._indexes = tuple(indexes)
        self._on_look = on_look
        self._seen: dict[str, bytes] = {}
        self._retry_at: dict[str, float] = {}
        self._refused: dict[str, Refusal] = {}  # by manifest_sha256: not tried again
        self._previous: dict[str, tuple[Generation, ...]] = {}
        self._promoted: dict[str, datetime] = {}  # by manifest_sha256
        self._looking = threading.Lock()
        self.refusals: deque[Refusal] = deque(maxlen=100)

    def run(self, stop: threading.Event, poll_seconds: float) -> None:
        """Looks at the store until stopped."""
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        while not stop.is_set():
            self.look()
            stop.wait(poll_seconds)

    def look(self, *, again: bool = False) -> None:
        """One look at every index; `again` also tries what was refused."""
        with self._looking:
            if again:
                self._seen.clear()
                self._refused.clear()
            try:
                self._look()
            except (OSError, StoreError) as error:
                self._metrics.store_errors.inc()
                _log.warning("store unreadable", error=str(error))
            except Exception:  # noqa: BLE001
                # The thread has to live on: the next look may find the store mended.
                _log.exception("look failed")
            self._on_look()

    def served(self) -> list[Promoted]:
        """Everything in service, sorted by index."""
        now = datetime.now(UTC)
        return [
            Promoted(
                generation,
                self._promoted.get(generation.sha256, now),
                is_current=generation.sha256 in self._named(index),
            )
            for index, generations in sorted(self._catalog.serving.generations.items())
            for generation in generations
        ]

    def _look(self) -> None:
        published = [name for name in self._store.names("indexes") if NAME.fullmatch(name)]
        with_current = {
            name: data
            for name in published
            if (data := self._store.read_or_none(current_key(name))) is not None
        }
        self._catalog.publish(with_current)
        for index in self._indexes or sorted(with_current):
            data = with_current.get(index)
            due = data != self._seen.get(index) or monotonic() >= self._retry_at.get(index, inf)
            if data is not None and due:
                self._retry_at.pop(index, None)
                self._follow(index, data)
                self._seen[index] = data

    def _named(self, index: str) -> set[str]:
        """The manifests that the CURRENT seen last names."""
        try:
            current = decode(self._seen.get(index, b""), Current, index)
        except FormatError:
            return set()
        return {entry.manifest_sha256 for entry in current.serving}

    def _follow(self, index: str, data: bytes) -> None:
        """Brings the index to what CURRENT says, as far as it passes."""
        try:
            current = decode(data, Current, current_key(index))
        except FormatError as error:
            self._refuse(index, 0, digest(data), RefusedError("bad_current", str(error)))
            self._resume(index)
            return
        loaded = {entry.space_id: self._load_or_refuse(index, entry) for entry in current.serving}
        self._promote(index, current, loaded)
        if all(loaded.values()):
            self._cache.keep_current(index, data)

    def _resume(self, index: str) -> None:
        """CURRENT is unreadable: a replica that serves nothing takes up what it served last."""
        last = self._cache.last_current(index)
        if last is None or index in self._catalog.serving.generations:
            return
        current = decode(last, Current, "the cached CURRENT")
        self._promote(
            index,
            current,
            {entry.space_id: self._load_or_refuse(index, entry) for entry in current.serving},
        )

    def _promote(self, index: str, current: Current, loaded: dict[str, Generation | None]) -> None:
        """Rebinds the index: where a space's new generation was refused, its old one stays."""
        before = self._catalog.serving.generations.get(index, ())
        old = {generation.manifest.space_id: generation for generation in before}
        after = tuple(
            chosen
            for entry in current.serving
            if (
                chosen := loaded[entry.space_id]
                or old.get(entry.space_id)
                or self._walk(index, entry)
            )
        )
        if not after or after == before:
            return
        self._catalog.promote(index, after)
        for generation in after:
            if generation not in before:
                self._promoted[generation.sha256] = datetime.now(UTC)
                self._metrics.swaps.labels(index, "promoted").inc()
                _log.info(
                    "promoted",
                    index=index,
                    generation=generation.manifest.number,
                    space_id=generation.manifest.space_id,
                )
        self._previous[index] = before
        self._sweep()

    def _sweep(self) -> None:
        """Keeps in the cache what is served and what was served before: the way back is short."""
        served = [each for every in self._catalog.serving.generations.values() for each in every]
        previous = [each for every in self._previous.values() for each in every]
        self._cache.sweep(generation.manifest for generation in served + previous)

    def _load_or_refuse(self, index: str, entry: Entry) -> Generation | None:
        for generation in self._catalog.serving.generations.get(index, ()):
            if generation.sha256 == entry.manifest_sha256:
                return generation
        if entry.manifest_sha256 in self._refused:
            return None
        begun = monotonic()
        try:
            generation = self._intake.load(index, entry)
        except RefusedError as refused:
            self._refuse(index, entry.generation, entry.manifest_sha256, refused)
            return None
        self._metrics.load_seconds.labels(index).observe(monotonic() - begun)
        return generation

    def _walk(self, index: str, entry: Entry) -> Generation | None:
        """The newest ancestor of a refused generation that passes."""
        data = self._cache.manifest(entry.manifest_sha256)
        while data is not None:
            parent = decode(data, Manifest, "manifest").parent
            if parent is None:
                return None
            older = Entry(
                space_id=entry.space_id,
                generation=parent.number,
                manifest_sha256=parent.sha256,
            )
            if generation := self._load_or_refuse(index, older):
                _log.warning("serving an ancestor", index=index, generation=parent.number)
                return generation
            data = self._cache.manifest(parent.sha256)
        return None

    def _refuse(self, index: str, number: int, sha256: str, refused: RefusedError) -> None:
        now = datetime.now(UTC)
        refusal = Refusal(index, number, sha256, refused.reason, refused.message, now)
        if refused.passing:
            self._retry_at[index] = monotonic() + _RETRY_SECONDS
        else:
            self._refused[sha256] = refusal
        self.refusals.appendleft(refusal)
        self._metrics.swaps.labels(index, "refused").inc()
        self._metrics.refusals.labels(index, refused.reason).inc()
        _log.error(
            "refused",
            index=index,
            generation=number,
            reason=refused.reason,
            message=refused.message,
        )
