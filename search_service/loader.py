"""Brings published generations into service, beside the queries and never across them.

It sees CURRENT change, takes in what that names and promotes it by rebinding one reference. What
fails is refused, named, counted and not tried again; what was served goes on serving.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf
from random import uniform
from time import monotonic

from lookalike_kit import logs
from lookalike_kit.errors import InvalidField
from search_service.ancestors import Ancestors
from search_service.apart import RefusedError
from search_service.cache import Cache
from search_service.catalog import Catalog
from search_service.generation import Generation
from search_service.intake import Intake
from search_service.manifest import (
    NAME,
    SCHEMA,
    Current,
    Entry,
    FormatError,
    current_key,
    decode,
    digest,
)
from search_service.metrics import SearchMetrics
from search_service.pins import Pin, with_pins
from search_service.refusals import Refusal, Refusals
from search_service.shelf import Shelf, read_shelf
from search_service.store import Store

_log = logs.get(__name__)
# A full disk or an unreadable blob may pass: such a refusal is looked at again after this.
_RETRY_SECONDS = 30.0


@dataclass(frozen=True)
class Promoted:
    """Since when a manifest is served here."""

    generation: Generation
    time: datetime
    is_current: bool
    is_pinned: bool


class Loader:
    """One thread that keeps the catalog what the store's CURRENT says, but for pins.

    required: the indexes to take up first. on_look: called with False after each index that was
    followed, with True after a look at all of them. intake_cpu_share: Intake has it.
    """

    def __init__(
        self,
        store: Store,
        cache: Cache,
        catalog: Catalog,
        metrics: SearchMetrics,
        *,
        indexes: Sequence[str],
        required: Sequence[str] = (),
        on_look: Callable[[bool], None],
        max_mapped_bytes: int | None = None,
        intake_cpu_share: Callable[[], float] = lambda: 1.0,
        jitter_seconds: float = 0.0,
    ) -> None:
        self._store = store
        self._cache = cache
        self._intake = Intake(store, cache, max_mapped_bytes, intake_cpu_share)
        self._ancestors = Ancestors(store, cache)
        self._catalog = catalog
        self._metrics = metrics
        self._indexes = tuple(indexes)
        self._required = frozenset(required)
        self._on_look = on_look
        self._jitter_seconds = jitter_seconds
        self._named: dict[str, bytes] = {}  # each CURRENT as it was read last
        self._seen: dict[str, bytes | None] = {}  # each CURRENT as it was followed last
        self._retry_at: dict[str, float] = {}
        self._load_at: dict[str, float] = {}
        self._previous: dict[str, set[str]] = {}  # by manifest_sha256: served before
        self._promoted: dict[str, datetime] = {}  # by manifest_sha256
        self._tried: dict[str, Generation] = {}  # by index: passed, but not served
        self._refusals = Refusals(metrics)
        self._looking = threading.Lock()
        self.pins = cache.pins()
        self.shelves: dict[str, Shelf] = {}  # of each index followed, as it was read last
        self.store_read: datetime | None = None  # when it was last
        self.store_trouble = ""  # what of it could not be read last

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """The latest first."""
        return self._refusals.latest

    def run(self, stop: threading.Event, poll_seconds: float) -> None:
        """Looks at the store until stopped."""
        while not stop.is_set():
            self.look()
            first = min(self._load_at.values(), default=inf)
            stop.wait(min(poll_seconds, max(0.0, first - monotonic())))

    def look(self, *, again: bool = False) -> None:
        """One look at every index; `again` also tries what was refused."""
        with self._looking:
            try:
                self._look(again)
            except Exception:  # noqa: BLE001
                # The thread has to live on: the next look may find the store mended.
                _log.exception("look failed")

    def try_dark(self, index: str, entry: Entry) -> Refusal | None:
        """Takes a generation in and keeps it for its promotion; else what is wrong with it."""
        self._check_followed(index)
        with self._looking:
            refusal = self._try(index, entry)
            self._sweep()
        return refusal

    def pin(self, index: str, entry: Entry, reason: str) -> Refusal | None:
        """Serves a generation whatever CURRENT says of its space; else what is wrong with it."""
        self._check_followed(index)
        with self._looking:
            refusal = self._try(index, entry)
            if refusal is None:
                pin = Pin(index=index, entry=entry, reason=reason, since=datetime.now(UTC))
                self._keep_pins([pin, *self._unheld(index, entry.space_id)])
                self._take_up(index, self._known(index) or Current(schema=SCHEMA, serving=(entry,)))
            self._sweep()
        return refusal

    def unpin(self, index: str, space_id: str | None) -> None:
        """From the next look on CURRENT has its say again; space_id None: in all spaces."""
        with self._looking:
            self._keep_pins(self._unheld(index, space_id))
            self._retry_at[index] = monotonic()

    def served(self) -> list[Promoted]:
        """Everything in service, sorted by index and space."""
        now = datetime.now(UTC)
        pinned = {pin.entry.manifest_sha256 for pin in self.pins}
        serving = self._catalog.serving.generations
        return [
            Promoted(
                generation,
                self._promoted.get(generation.sha256, now),
                is_current=self._is_current(index, generation),
                is_pinned=generation.sha256 in pinned,
            )
            for index in sorted(serving)
            for generation in sorted(serving[index], key=lambda each: each.manifest.space_id)
        ]

    def named(self) -> list[tuple[str, Entry]]:
        """What each CURRENT that is followed named when it was read last."""
        return [
            (index, entry)
            for index, data in list(self._named.items())
            if self._follows(index) and (current := _current(data))
            for entry in current.serving
        ]

    def refused_now(self) -> set[tuple[str, str]]:
        """Index and reason of what CURRENT asks for and is not served for being refused."""
        asked = {(index, entry.manifest_sha256) for index, entry in self.named()}
        asked |= {(index, digest(data)) for index, data in list(self._named.items())}
        served = {(each.manifest.index, each.sha256) for each in self._generations()}
        found: dict[tuple[str, str], str] = {}
        for each in reversed(self.refusals):  # the latest reason is the one that stays
            found[each.index, each.manifest_sha256] = each.reason
        return {(key[0], reason) for key, reason in found.items() if key in asked - served}

    def _generations(self) -> list[Generation]:
        return [each for some in self._catalog.serving.generations.values() for each in some]

    def _is_current(self, index: str, generation: Generation) -> bool:
        """As far as is known: of a CURRENT that was never read here it is what was served last."""
        named = self._named.get(index)
        return named is None or generation.sha256 in _manifests(_current(named))

    def _follows(self, index: str) -> bool:
        return not self._indexes or index in self._indexes

    def _look(self, again: bool) -> None:
        if again:
            self._refusals.quarantine.clear()
        published = self._read_store()
        self._named |= {index: data for index, data in published.items() if data is not None}
        now = monotonic()
        due = [
            index
            for index in self._ordered(published)
            if index in published and (again or self._is_due(index, published[index], now))
        ]
        self._load_at = {index: at for index, at in self._load_at.items() if at > now}
        for index in due:
            self._follow(index, published[index])
            if not self.store_trouble:  # a generation that takes minutes is no store that hangs
                self.store_read = datetime.now(UTC)
            self._on_look(False)
        if due:
            self._sweep()
        # A replica that knows neither its store nor anything to serve is not ready.
        if self.store_read or self._catalog.serving.generations:
            self._on_look(True)

    def _ordered(self, published: Iterable[str]) -> list[str]:
        """The order of taking up: what readiness waits for, then as listed."""
        listed = self._indexes or sorted(published)
        return sorted(listed, key=lambda index: index not in self._required)

    def _read_store(self) -> dict[str, bytes | None]:
        """CURRENT of each published index; None where it cannot be read.

        Where the store itself cannot be read: what was served here before.
        """
        try:
            names = [name for name in self._store.names("indexes") if NAME.fullmatch(name)]
            self._expect_a_store(names)
        except OSError as error:
            self._store_error(error)
            self.store_trouble = str(error)
            return dict.fromkeys(self._cache.indexes())
        published: dict[str, bytes | None] = {}
        shelves: dict[str, Shelf] = {}
        trouble = ""
        for name in names:
            try:
                data = self._store.read_or_none(current_key(name))
                if data is not None:
                    published[name] = data
                if self._follows(name):
                    shelves[name] = read_shelf(self._store, name, has_current=data is not None)
            except OSError as error:
                self._store_error(error)
                trouble = str(error)
                published.setdefault(name, None)
                # It is for people alone: without it CURRENT is followed all the same.
                if name in self.shelves:
                    shelves[name] = self.shelves[name]
        self.store_read, self.store_trouble = datetime.now(UTC), trouble
        self.shelves = shelves
        self._catalog.publish({name: _spaces(data) for name, data in published.items()})
        return published

    def _expect_a_store(self, names: Sequence[str]) -> None:
        """A folder that nothing is mounted on is empty: it does not say that all indexes ended."""
        if not self._store.root.is_dir():
            raise NotADirectoryError(f"{self._store.root}: expected a folder")
        if not names and (served := self._cache.indexes()):
            expected = f"expected indexes, {', '.join(served)} among them"
            raise FileNotFoundError(f"{self._store.root}: {expected}, got none")

    def _store_error(self, error: OSError) -> None:
        self._metrics.store_errors.inc()
        _log.warning("store unreadable", error=str(error))

    def _is_due(self, index: str, data: bytes | None, now: float) -> bool:
        if data is None and index in self._catalog.serving.generations:
            return False
        if index not in self._seen or now >= self._retry_at.get(index, inf):
            return True
        return data != self._seen[index] and self._has_waited(index, data, now)

    def _has_waited(self, index: str, data: bytes | None, now: float) -> bool:
        """Replicas that see CURRENT change together should not all fetch and warm together.

        What is here already, on the way back above all, waits for nothing, and neither does a
        replica that serves nothing of the index.
        """
        served = self._catalog.serving.generations.get(index, ())
        here = {generation.sha256 for generation in served} | self._previous.get(index, set())
        if index in self._tried:
            here.add(self._tried[index].sha256)
        if not served or _manifests(_current(data)) <= here:
            return True
        return now >= self._load_at.setdefault(index, now + uniform(0, self._jitter_seconds))

    def _follow(self, index: str, data: bytes | None) -> None:
        """Brings the index to what CURRENT says, as far as it passes; fails for itself alone."""
        self._metrics.follow(index)
        self._seen[index] = data
        self._retry_at.pop(index, None)
        try:
            if data is not None:
                self._follow_current(index, data)
            # A replica that serves nothing takes up what it served last.
            if index not in self._catalog.serving.generations:
                self._take_up(index, self._cache.last_served(index))
        except Exception:  # noqa: BLE001
            _log.exception("look failed", index=index)
            self._retry_at[index] = monotonic() + _RETRY_SECONDS

    def _follow_current(self, index: str, data: bytes) -> None:
        try:
            current = decode(data, Current, current_key(index))
        except FormatError as error:
            self._refuse(index, 0, digest(data), RefusedError("bad_current", str(error)))
        else:
            self._take_up(index, current)

    def _take_up(self, index: str, current: Current | None) -> None:
        if current is None:
            return
        current = with_pins(index, current, self.pins)
        if index in self._tried and self._tried[index].sha256 not in _manifests(current):
            del self._tried[index]  # it would count against the budget
        loaded = {entry.space_id: self._load_or_refuse(index, entry) for entry in current.serving}
        self._promote(index, current, loaded)
        self._tried.pop(index, None)

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
        if after and after != before:
            self._put_into_service(index, before, after)
        # Also where this failed the last time, as on a full disk.
        if after and self._cache.last_served(index) != (now := _as_current(after)):
            self._cache.keep_served(index, now)

    def _put_into_service(
        self, index: str, before: Sequence[Generation], after: tuple[Generation, ...]
    ) -> None:
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
        self._previous[index] = {generation.sha256 for generation in before}

    def _sweep(self) -> None:
        """Keeps in the cache what is, was or may soon be served: the way is short."""
        if not self._seen:
            return  # a try or a pin before the first look: what was served last is not known yet
        kept = set().union(*self._previous.values())
        kept |= {generation.sha256 for generation in self._tried.values()}
        kept |= {pin.entry.manifest_sha256 for pin in self.pins}
        for index, data in self._seen.items():
            served = self._catalog.serving.generations.get(index, ())
            kept |= {generation.sha256 for generation in served}
            kept |= _manifests(_current(data)) | _manifests(self._cache.last_served(index))
        self._cache.sweep(kept, self._refusals.quarantine)

    def _load_or_refuse(self, index: str, entry: Entry) -> Generation | None:
        if here := self._here(index, entry):
            return here
        if entry.manifest_sha256 in self._refusals.quarantine:
            return None
        try:
            return self._load(index, entry)
        except RefusedError as refused:
            self._refuse(index, entry.generation, entry.manifest_sha256, refused)
            return None

    def _try(self, index: str, entry: Entry) -> Refusal | None:
        if self._here(index, entry):
            return None
        self._tried.pop(index, None)
        try:
            self._tried[index] = self._load(index, entry)
        except RefusedError as refused:
            return self._refusals.add(index, entry.generation, entry.manifest_sha256, refused)
        self._refusals.quarantine.discard(entry.manifest_sha256)
        return None

    def _here(self, index: str, entry: Entry) -> Generation | None:
        """What is served or was tried well."""
        tried = self._tried.get(index)
        here = (*self._catalog.serving.generations.get(index, ()), *([tried] if tried else []))
        return next((each for each in here if each.sha256 == entry.manifest_sha256), None)

    def _load(self, index: str, entry: Entry) -> Generation:
        begun = monotonic()
        try:
            generation = self._intake.load(index, entry)
        except RefusedError:
            raise
        except Exception as error:
            # Whatever a file made a library do: it is this generation's fault, and no other's.
            _log.exception("load failed", index=index, generation=entry.generation)
            raise RefusedError("failed", f"loading: got {error!r}", passing=True) from error
        self._metrics.load_seconds.labels(index).observe(monotonic() - begun)
        return generation

    def _walk(self, index: str, entry: Entry) -> Generation | None:
        """The newest ancestor of a refused generation that passes."""
        for older in self._ancestors.of(index, entry):
            if generation := self._load_or_refuse(index, older):
                _log.warning("serving an ancestor", index=index, generation=older.generation)
                return generation
        return None

    def _refuse(self, index: str, number: int, sha256: str, refused: RefusedError) -> None:
        if self._refusals.add(index, number, sha256, refused).passing:
            self._retry_at[index] = monotonic() + _RETRY_SECONDS
        self._metrics.swaps.labels(index, "refused").inc()

    def _check_followed(self, index: str) -> None:
        if not self._follows(index):
            followed = ", ".join(self._indexes)
            raise InvalidField("index", f"one that this replica follows ({followed})", index)

    def _known(self, index: str) -> Current | None:
        return _current(self._named.get(index)) or self._cache.last_served(index)

    def _unheld(self, index: str, space_id: str | None) -> list[Pin]:
        return [pin for pin in self.pins if not pin.holds(index, space_id)]

    def _keep_pins(self, pins: Sequence[Pin]) -> None:
        kept = tuple(sorted(pins, key=lambda pin: (pin.index, pin.entry.space_id)))
        self._cache.keep_pins(kept)
        self.pins = kept


def _current(data: bytes | None) -> Current | None:
    """CURRENT, where it can be read."""
    try:
        return None if data is None else decode(data, Current, "CURRENT")
    except FormatError:
        return None


def _manifests(current: Current | None) -> set[str]:
    return {entry.manifest_sha256 for entry in current.serving} if current else set()


def _spaces(data: bytes | None) -> frozenset[str]:
    current = _current(data)
    return frozenset(entry.space_id for entry in current.serving) if current else frozenset()


def _as_current(served: Sequence[Generation]) -> Current:
    entries = (
        Entry(
            space_id=generation.manifest.space_id,
            generation=generation.manifest.number,
            manifest_sha256=generation.sha256,
        )
        for generation in served
    )
    return Current(schema=SCHEMA, serving=tuple(entries))
