"""A generation that proves itself: tried dark by one replica, moved to, followed, watched.

When a replica refuses it or ails of it, CURRENT goes back to what it was. Each ending has a word.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import grpc
from lookalike.search.v1 import admin_pb2 as pb

from search_service.build.fleet import Fleet, Statuses
from search_service.build.publish import (
    Moved,
    Published,
    held_by,
    move_back,
    move_to,
)
from search_service.manifest import current_key
from search_service.store import Store

# The standard error of recall@10 0.99 over 200 samples: sqrt(0.99 * 0.01 / 10 / 200) = 0.0022.
RECALL_SAMPLES = 200
RECALL_MARGIN = 0.02


class Ending(StrEnum):
    """How a publish ended."""

    SERVED = "served"
    HELD = "held"
    NOT_TRIED = "not_tried"
    TRY_REFUSED = "try_refused"
    OVERTAKEN = "overtaken"
    REFUSED = "refused"
    INTERNAL_ERRORS = "internal_errors"
    LOWER_RECALL = "lower_recall"
    TIMED_OUT = "timed_out"


class Fate(StrEnum):
    """What became of CURRENT."""

    STAYED = "stayed"
    MOVED = "moved"
    MOVED_BACK = "moved_back"
    LEFT_ALONE = "left_alone"


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How many replicas must serve it (None: all that follow CURRENT), and for how long it may
    take; how long they are watched afterwards; how often it is said whom it waits for."""

    replicas: int | None = None
    timeout_seconds: float = 600.0
    watch_seconds: float = 60.0
    poll_seconds: float = 0.5
    tell_seconds: float = 15.0


@dataclass(frozen=True)
class Outcome:
    """What was published, how that ended, and a sentence that says it."""

    published: Published
    ending: Ending
    fate: Fate
    message: str


@dataclass(frozen=True)
class Trouble:
    """Why a generation may not stay."""

    ending: Ending
    message: str


@dataclass(frozen=True)
class Recall:
    """The live recall of a generation over all replicas."""

    mean: float
    samples: int

    @classmethod
    def of(cls, statuses: Statuses, sha256: str) -> "Recall":
        loaded = [each for status in statuses.values() if (each := _loaded(status, sha256))]
        samples = sum(each.live_recall_samples for each in loaded)
        total = sum(each.live_recall * each.live_recall_samples for each in loaded)
        return cls(total / samples if samples else 0.0, samples)

    def is_below(self, other: "Recall") -> bool:
        """Whether both are known well enough to say so."""
        sure = min(self.samples, other.samples) >= RECALL_SAMPLES
        return sure and self.mean < other.mean - RECALL_MARGIN


def follow(
    store: Store,
    published: Published,
    fleet: Fleet,
    patience: Patience,
    *,
    only: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Moves CURRENT to what was written without being served, if replicas can live with it.

    `say` is told how far it is. An OSError of the store leaves CURRENT where it is at that moment.
    """
    index = published.manifest.index
    name = f"{index}: generation {published.manifest.number}"
    say(f"{name} is written")
    if trouble := _try_dark(fleet, published, patience, say):
        message = f"{name}: {trouble.message}; CURRENT stays"
        return Outcome(published, trouble.ending, Fate.STAYED, message)
    if held := held_by(store, index):
        message = f"{name} passed, but the index is on hold since {held.since}: {held.reason}"
        return Outcome(published, Ending.HELD, Fate.STAYED, f"{message}; CURRENT stays")
    before = _parents_recall(fleet, published)
    moved = move_to(store, published, only=only)
    if moved is None:
        message = (
            f"{name} passed, but CURRENT was moved by somebody else meanwhile; it is left alone"
        )
        return Outcome(published, Ending.OVERTAKEN, Fate.LEFT_ALONE, message)
    say(f"{name} is CURRENT")
    following = _Following(store, fleet, published, moved, patience, before, say)
    if trouble := following.trouble():
        fate, words = _go_back(store, index, moved, trouble)
        return Outcome(published, trouble.ending, fate, f"{name}: {trouble.message}; {words}")
    message = f"{name} is served by {following.count()}, watched for {patience.watch_seconds:g} s"
    if patience.watch_seconds:
        message += f"; {following.recall()}"
    return Outcome(published, Ending.SERVED, Fate.MOVED, message)


def _try_dark(
    fleet: Fleet, published: Published, patience: Patience, say: Callable[[str], None]
) -> Trouble | None:
    """The first replica that follows CURRENT and can say has its word."""
    manifest = published.manifest
    asked = pb.TryRequest(
        index=manifest.index,
        space_id=manifest.space_id,
        generation=manifest.number,
        manifest_sha256=published.sha256,
    )
    why = "none answers that follows CURRENT"
    end = time.monotonic() + patience.timeout_seconds
    for address, status in fleet.statuses().items():
        left = end - time.monotonic()
        if status is None or _pins(status, published) or left <= 0:
            continue
        say(f"{manifest.index}: {address} tries it")
        try:
            tried = fleet.admin(address).Try(asked, timeout=left)
        except grpc.RpcError as error:
            why = f"{address}: {error.code().name}: {error.details()}"
            continue
        if tried.passed:
            say(f"{manifest.index}: {address} tried it and it passed")
            return None
        if not tried.refused.passing:
            said = f"{address} tried it and refuses: {_reason(tried.refused)}"
            return Trouble(Ending.TRY_REFUSED, said)
        why = f"{address}: {_reason(tried.refused)}"  # of that replica alone, as a full disk
    return Trouble(Ending.NOT_TRIED, f"expected a replica to try it, got none ({why})")


def _parents_recall(fleet: Fleet, published: Published) -> Recall:
    parent = published.manifest.parent
    return Recall.of(fleet.statuses(), parent.sha256) if parent else Recall(0.0, 0)


def _go_back(store: Store, index: str, moved: Moved, trouble: Trouble) -> tuple[Fate, str]:
    if trouble.ending is Ending.OVERTAKEN:
        return Fate.LEFT_ALONE, "it is left alone"
    if moved.before is None:
        return Fate.MOVED, "CURRENT stays, as there was none before it"
    if move_back(store, index, moved):
        return Fate.MOVED_BACK, "CURRENT is moved back to what it was"
    return Fate.LEFT_ALONE, "CURRENT was moved by somebody else meanwhile and is left alone"


@dataclass(frozen=True)
class _Following:
    """Looks at the replicas until enough serve a generation, and then for a while."""

    store: Store
    fleet: Fleet
    published: Published
    moved: Moved
    patience: Patience
    before: Recall
    say: Callable[[str], None]

    def trouble(self) -> Trouble | None:
        """Why it may not stay, as soon as there is a reason."""
        if trouble := self._until_served():
            return trouble
        self.say(f"{self.published.manifest.index}: served by {self.count()}")
        # A replica that died of it while it was watched has to be back.
        return self._watched() or self._until_served()

    def count(self) -> str:
        return self._count(self.fleet.statuses())

    def recall(self) -> str:
        """What is known of it by now."""
        now = Recall.of(self.fleet.statuses(), self.published.sha256)
        if min(now.samples, self.before.samples) >= RECALL_SAMPLES:
            return f"live recall {now.mean:.3f} ({self.before.mean:.3f} before)"
        return (
            f"live recall not judged: {now.samples} samples, {self.before.samples} before, of "
            f"{RECALL_SAMPLES}"
        )

    def _count(self, statuses: Statuses) -> str:
        return f"{len(self._serving(statuses))} of {self._wanted(statuses)} replicas"

    def _until_served(self) -> Trouble | None:
        seconds = self.patience.timeout_seconds
        begun = told = time.monotonic()
        while True:
            statuses = self.fleet.statuses()
            if trouble := self._ailment(statuses):
                return trouble
            if len(self._serving(statuses)) >= self._wanted(statuses):
                return None
            now = time.monotonic()
            if now >= begun + seconds:
                return Trouble(Ending.TIMED_OUT, self._so_far(statuses, seconds))
            if now >= told + self.patience.tell_seconds:
                told = now
                self.say(f"{self.published.manifest.index}: {self._so_far(statuses, now - begun)}")
            time.sleep(self.patience.poll_seconds)

    def _so_far(self, statuses: Statuses, seconds: float) -> str:
        missing = sorted(set(statuses) - set(self._serving(statuses)))
        named = (f"{each}{self._why_not(statuses[each])}" for each in missing)
        counted = f"served by {self._count(statuses)} after {round(seconds, 1):g} s"
        return f"{counted}, not by {', '.join(named)}"

    def _why_not(self, status: pb.GetStatusResponse | None) -> str:
        if status is None:
            return " (no answer)"
        refused = _refused(status, self.published.sha256)
        return f" ({_reason(refused)})" if refused else ""

    def _watched(self) -> Trouble | None:
        until = time.monotonic() + self.patience.watch_seconds
        while time.monotonic() < until:
            if trouble := self._ailment(self.fleet.statuses()):
                return trouble
            time.sleep(self.patience.poll_seconds)
        return None

    def _ailment(self, statuses: Statuses) -> Trouble | None:
        for address, status in statuses.items():
            loaded = _loaded(status, self.published.sha256)
            if loaded and loaded.internal_errors:
                said = f"{address} ended {loaded.internal_errors} calls of it with INTERNAL"
                return Trouble(Ending.INTERNAL_ERRORS, said)
            refused = _refused(status, self.published.sha256)
            if refused and not loaded and not refused.passing:
                return Trouble(Ending.REFUSED, f"{address} refuses it: {_reason(refused)}")
        now = Recall.of(statuses, self.published.sha256)
        if now.is_below(self.before):
            said = (
                f"live recall {now.mean:.3f} over {now.samples} samples, before it "
                f"{self.before.mean:.3f} over {self.before.samples}"
            )
            return Trouble(Ending.LOWER_RECALL, said)
        key = current_key(self.published.manifest.index)
        if self.store.read_or_none(key) != self.moved.after:
            return Trouble(Ending.OVERTAKEN, "CURRENT was moved by somebody else meanwhile")
        return None

    def _serving(self, statuses: Statuses) -> list[str]:
        sha256 = self.published.sha256
        return [address for address, status in statuses.items() if _loaded(status, sha256)]

    def _wanted(self, statuses: Statuses) -> int:
        """A pinned replica is not waited for."""
        following = [
            address
            for address, status in statuses.items()
            if status is None or not _pins(status, self.published)
        ]
        return self.patience.replicas or max(1, len(following))


def _loaded(status: pb.GetStatusResponse | None, sha256: str) -> pb.LoadedGeneration | None:
    loaded = status.loaded if status else ()
    return next((each for each in loaded if each.manifest_sha256 == sha256), None)


def _refused(status: pb.GetStatusResponse | None, sha256: str) -> pb.RefusedGeneration | None:
    refused = status.refused if status else ()
    return next((each for each in refused if each.manifest_sha256 == sha256), None)


def _pins(status: pb.GetStatusResponse, published: Published) -> bool:
    space = (published.manifest.index, published.manifest.space_id)
    return any((each.index, each.space_id) == space for each in status.pinned)


def _reason(refused: pb.RefusedGeneration) -> str:
    return f"{refused.reason}: {refused.message}"
