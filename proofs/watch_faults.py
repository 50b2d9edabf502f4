"""What is done to a fleet that is watched, how it is undone, and which alerts it should bring."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from proofs import family
from proofs.catalogue import SPACE, build_of
from proofs.certificates import certificate
from proofs.prometheus import SCRAPE_SECONDS
from proofs.scenes import INDEX
from proofs.watched_embedder import Orders
from proofs.watched_fleet import DECODERS, EMBEDDER, NEXT_EMBEDDER, Fleet
from search_service.build import publish, release, roll_back
from search_service.build.publish import read_current
from search_service.manifest import (
    SCHEMA,
    Current,
    Entry,
    Hold,
    blob_key,
    current_key,
    digest,
    encode,
    hold_key,
    manifest_key,
)

OTHER_SPACE = "b" * 64
BROKEN = "broken"
FIRST_MEMBERS = 4
LONG_AGO = timedelta(days=3)
KILLS_OF_DECODERS, KILL_PAUSE_SECONDS, BIRTH_SECONDS = 12, 0.5, 10


@dataclass(frozen=True)
class Fault:
    """done: within its `with` the fault is there. fires: name and severity of alerts.

    may: what fires as well, as it happens. look_seconds: how long it stays after its alerts fired,
    for others to show.
    """

    name: str
    fires: set[tuple[str, str]]
    done: Callable[[Fleet], AbstractContextManager[None]]
    may: set[tuple[str, str]] = field(default_factory=set)
    look_seconds: float = 3.0


def begin(fleet: Fleet) -> None:
    """Two embedders, two replicas, one index in its first generation; three builds to publish."""
    fleet.store.root.mkdir()
    for seed in range(3):
        build_of("forest", fleet.folder / f"build-{seed}", seed=seed)
    publish(fleet.store, INDEX, fleet.folder / "build-0")
    for number in range(FIRST_MEMBERS // 2):
        fleet.start_embedder(f"embedder-{number}", Orders())
        fleet.start_search(f"search-{number}")


@contextmanager
def _quiet(_: Fleet) -> Iterator[None]:
    yield


@contextmanager
def _swapped(fleet: Fleet) -> Iterator[None]:
    publish(fleet.store, INDEX, fleet.folder / "build-1")
    fleet.refresh()
    yield


@contextmanager
def _damaged(fleet: Fleet) -> Iterator[None]:
    bad = publish(fleet.store, INDEX, fleet.folder / "build-2", serve=False)
    path = fleet.store.root / blob_key(bad.manifest.base.blobs["vectors"].sha256)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    roll_back(fleet.store, INDEX, to=bad.manifest.number)
    fleet.refresh()
    yield
    path.write_bytes(whole)
    fleet.refresh()


@contextmanager
def _not_served(fleet: Fleet) -> Iterator[None]:
    publish(fleet.store, INDEX, fleet.folder / "build-0", serve=False)
    fleet.refresh()
    yield
    publish(fleet.store, INDEX, fleet.folder / "build-0")
    fleet.refresh()


@contextmanager
def _split(fleet: Fleet) -> Iterator[None]:
    """search-1 looks at the store once, when it starts."""
    _start_again(fleet, "search-1", poll_seconds=3600)
    publish(fleet.store, INDEX, fleet.folder / "build-1")
    yield
    _start_again(fleet, "search-1")


@contextmanager
def _without_store(fleet: Fleet) -> Iterator[None]:
    away = fleet.store.root.with_name("away")
    fleet.store.root.rename(away)
    yield
    away.rename(fleet.store.root)


@contextmanager
def _held(fleet: Fleet) -> Iterator[None]:
    since = (datetime.now(UTC) - LONG_AGO).isoformat(timespec="seconds")
    fleet.store.put(hold_key(INDEX), encode(Hold(reason="the proof", since=since)))
    fleet.refresh()
    yield
    release(fleet.store, INDEX)
    fleet.refresh()


@contextmanager
def _pinned(fleet: Fleet) -> Iterator[None]:
    """Its cache says that it was pinned three days ago, to what it serves."""
    _, current = read_current(fleet.store, INDEX)
    [entry] = current.serving
    fleet.remove("search-1")
    pins = fleet.folder / "cache-search-1" / "pins"
    fleet.start_search("search-2")
    since = (datetime.now(UTC) - LONG_AGO).isoformat()
    of = {"generation": entry.generation, "manifest_sha256": entry.manifest_sha256}
    pin = {"index": INDEX, "entry": {"space_id": entry.space_id, **of}, "since": since}
    pins.write_text(json.dumps([pin | {"reason": "the proof"}]))
    fleet.start_search("search-1")
    yield
    fleet.remove("search-1")
    pins.unlink()


@contextmanager
def _old(fleet: Fleet) -> Iterator[None]:
    """An index whose manifest says that it was built three days ago."""
    made = publish(fleet.store, "old", fleet.folder / "build-0")
    then = (datetime.now(UTC) - LONG_AGO).isoformat(timespec="seconds")
    old = json.dumps(json.loads(encode(made.manifest)) | {"created": then}).encode()
    fleet.store.put(manifest_key("old", 1, digest(old)), old)
    _name_current(fleet, "old", 1, digest(old))
    yield
    publish(fleet.store, "old", fleet.folder / "build-0")
    fleet.refresh()


@contextmanager
def _passes_fail(fleet: Fleet) -> Iterator[None]:
    fleet.order("embedder-0", Orders(fails=True))
    yield
    fleet.order("embedder-0", Orders())


@contextmanager
def _decoders_die(fleet: Fleet) -> Iterator[None]:
    """Others are there before the next are killed: two deaths would be the fault of their file."""
    [nursery] = family.children(fleet.members["embedder-0"].running.process.pid)
    for _ in range(KILLS_OF_DECODERS):
        killed = family.children(nursery)
        family.kill(killed)
        # Who decodes large pictures is missed by nobody here.
        until = time.monotonic() + BIRTH_SECONDS
        while len(family.children(nursery) - killed) < DECODERS and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(KILL_PAUSE_SECONDS)
    yield


@contextmanager
def _device_lost(fleet: Fleet) -> Iterator[None]:
    """Its process ends by itself, and another begins in its place."""
    member = fleet.members["embedder-1"]
    fleet.order("embedder-1", Orders(lost=True))
    member.running.process.wait(60)
    member.is_asked = False
    fleet.start_embedder("embedder-1", Orders(), **member.ports)
    yield


@contextmanager
def _searches_fail(fleet: Fleet) -> Iterator[None]:
    """Callers ask for an index that is published and that nobody can load."""
    fleet.store.put(current_key(BROKEN), b"garbage")
    fleet.refresh()
    fleet.indexes = (INDEX, BROKEN)
    yield
    fleet.indexes = (INDEX,)
    fleet.store.delete(current_key(BROKEN))
    publish(fleet.store, BROKEN, fleet.folder / "build-0")
    fleet.refresh()


@contextmanager
def _replica_down(fleet: Fleet) -> Iterator[None]:
    fleet.kill("search-0")
    yield
    _start_again(fleet, "search-0")


@contextmanager
def _another_space(fleet: Fleet) -> Iterator[None]:
    fleet.start_embedder("embedder-2", Orders(space_id=OTHER_SPACE), is_asked=False)
    yield
    fleet.remove("embedder-2")


@contextmanager
def _next_model(fleet: Fleet) -> Iterator[None]:
    """docs/upgrading.md: beside the one that serves, until its index is published."""
    orders = Orders(space_id=OTHER_SPACE)
    fleet.start_embedder("next-0", orders, NEXT_EMBEDDER, is_asked=False)
    yield
    fleet.remove("next-0")


@contextmanager
def _drifted(fleet: Fleet) -> Iterator[None]:
    fleet.start_embedder("embedder-3", Orders(golden_cosine=0.9985), is_asked=False)
    yield
    fleet.remove("embedder-3")


@contextmanager
def _expiring(fleet: Fleet) -> Iterator[None]:
    """14 days are 5.6 hours here, 3 days 1.2 hours."""
    chain, key = fleet.folder / "certificate.pem", fleet.folder / "key.pem"
    certificate(timedelta(hours=3), chain, key)
    fleet.start_search("search-3", is_asked=False, tls_certificate=chain, tls_key=key)
    yield
    certificate(timedelta(days=60), chain, key)
    time.sleep(4 * SCRAPE_SECONDS)  # whoever scrapes has it look at the files again
    fleet.remove("search-3")


@contextmanager
def _nobody_embeds(fleet: Fleet) -> Iterator[None]:
    gone = [name for name, of in fleet.members.items() if of.job == EMBEDDER]
    fleet.remove(*gone)
    yield
    for name in gone:
        fleet.start_embedder(f"{name}-new", Orders())


def _start_again(fleet: Fleet, name: str, **settings: Any) -> None:
    fleet.kill(name)
    fleet.start_search(name, **fleet.members[name].ports, **settings)


def _name_current(fleet: Fleet, index: str, number: int, sha256: str) -> None:
    entry = Entry(space_id=SPACE, generation=number, manifest_sha256=sha256)
    fleet.store.put(current_key(index), encode(Current(schema=SCHEMA, serving=(entry,))))
    fleet.refresh()


def _tickets(*names: str) -> set[tuple[str, str]]:
    return {(name, "ticket") for name in names}


def _burns(name: str) -> set[tuple[str, str]]:
    return {(name, "page"), (name, "ticket")}


QUIET = Fault("nothing", set(), _quiet, look_seconds=5)
SWAP = Fault("a swap", set(), _swapped)
REFUSED = Fault("a damaged generation", _tickets("GenerationRefused"), _damaged)
PASSES_FAIL = Fault(
    "every second pass of an embedder fails",
    _burns("EmbedErrorBudgetBurn") | _tickets("DeviceLost"),
    _passes_fail,
)
QUICK_FAULTS = (QUIET, SWAP, REFUSED, PASSES_FAIL)
ALL_FAULTS = (
    QUIET,
    SWAP,
    REFUSED,
    Fault("a generation is published and not served", _tickets("PublishFailed"), _not_served),
    Fault("a replica does not look", _tickets("FleetSplit", "StoreUnread"), _split),
    Fault("the store is gone", _tickets("StoreUnread"), _without_store),
    Fault("an index built three days ago", _tickets("IndexStale"), _old),
    Fault("a hold three days old", _tickets("HoldTooLong"), _held),
    Fault("a pin three days old", _tickets("PinTooLong"), _pinned),
    Fault("a replica is killed", _tickets("ReplicaDown"), _replica_down),
    Fault("an embedder of another space", {("SpacesMismatched", "page")}, _another_space),
    Fault("the next model's embedder beside", set(), _next_model, look_seconds=8),
    Fault("golden photos at 0.9985", _tickets("CanaryDrift"), _drifted),
    Fault("a certificate ends soon", _tickets("CertificateExpiring"), _expiring),
    Fault("an embedder's decoders are killed", _tickets("DecodersDie"), _decoders_die),
    Fault(
        "a device is lost",
        _tickets("DeviceLost"),
        _device_lost,
        # The calls that it had.
        may=_burns("EmbedErrorBudgetBurn"),
    ),
    PASSES_FAIL,
    Fault(
        "callers ask for an index that nobody can load",
        _burns("SearchErrorBudgetBurn") | _tickets("GenerationRefused"),
        _searches_fail,
    ),
    Fault("every embedder is gone", {("NothingScraped", "page")}, _nobody_embeds),
)
