"""Publishes that prove themselves before three real replicas, and each way that this ends."""

import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from lookalike.search.v1 import admin_pb2, admin_pb2_grpc
from prometheus_client import CollectorRegistry

from lookalike_kit.server import Registration, Server, ServerConfig
from search_service.admin_servicer import IndexAdminServicer
from search_service.apart import RefusedError
from search_service.build import hold, publish, release, roll_back
from search_service.build.fleet import Fleet, resolved
from search_service.build.follow import Ending, Fate, Patience, Recall
from search_service.build.follow import follow as follow_published
from search_service.build.publish import read_current
from search_service.cache import Cache
from search_service.catalog import Catalog
from search_service.loader import Loader
from search_service.metrics import SearchMetrics
from search_service.readiness import Readiness
from search_service.store import Store
from search_service.vitals import Vitals

PATIENT = Patience(timeout_seconds=30, watch_seconds=0.1, poll_seconds=0.02)
HASTY = Patience(timeout_seconds=2, watch_seconds=0, poll_seconds=0.02)


class Replica:
    """A loader that looks all the time, and a server that says what it did."""

    def __init__(self, store: Store, cache: Path) -> None:
        registry, catalog = CollectorRegistry(), Catalog()
        self.cache = cache
        self.vitals = Vitals()
        self.catalog = catalog
        self.loader = Loader(
            store,
            Cache(cache),
            catalog,
            SearchMetrics(registry, catalog),
            indexes=(),
            on_look=lambda _: None,
        )
        readiness = Readiness(catalog, (), lambda: None)
        readiness.looked(everywhere=True)
        admin = IndexAdminServicer(self.loader, self.vitals, readiness, version="1")
        name = admin_pb2.DESCRIPTOR.services_by_name["IndexAdminService"].full_name
        any_port = "127.0.0.1:0"
        self.server = Server(
            ServerConfig(address=any_port, admin_address=any_port, metrics_address=any_port),
            "search",
            registry,
            [],
            [
                Registration(
                    name,
                    lambda to: admin_pb2_grpc.add_IndexAdminServiceServicer_to_server(admin, to),
                )
            ],
        )
        self.address = self.server.start().admin_address
        self.resume()

    def resume(self) -> None:
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.loader.run, args=(self.stopping, 0.05))
        self.thread.start()

    def pause(self) -> None:
        self.stopping.set()
        self.thread.join()

    def serves(self, index):
        return [each.manifest.number for each in self.catalog.serving.generations.get(index, ())]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def replicas(store, tmp_path_factory):
    replicas = [Replica(store, tmp_path_factory.mktemp("cache")) for _ in range(3)]
    yield replicas
    for each in replicas:
        each.pause()
        each.server.stop(drain_seconds=0)


@pytest.fixture(scope="module")
def fleet(replicas):
    with Fleet(lambda: [each.address for each in replicas]) as fleet:
        yield fleet


@pytest.fixture
def follow(store, fleet, builds):
    """follow(…): one more generation; told(words) is called with what is said."""

    def follow(patience=PATIENT, told=lambda words: None, built=builds[0], fleet=fleet):
        published = publish(store, "dresses", built, serve=False)
        return follow_published(store, published, fleet, patience, say=told)

    return follow


@pytest.fixture
def served(store, replicas, builds):
    """The number of a generation that all replicas serve."""
    if store.read_or_none("indexes/dresses/CURRENT") is None:
        publish(store, "dresses", builds[0])
    while not all(each.serves("dresses") == [current(store)] for each in replicas):
        time.sleep(0.01)
    return current(store)


def current(store, index="dresses"):
    return read_current(store, index)[1].serving[0].generation


def when(words, do):
    """Does it when these words are said."""
    return lambda said: do() if words in said else None


def test_what_every_replica_serves_well_stays(follow, replicas, store):
    said = []

    done = follow(told=said.append)

    number = done.published.manifest.number
    assert (done.ending, done.fate) == (Ending.SERVED, Fate.MOVED)
    assert done.message == (
        f"dresses: generation {number} is served by 3 of 3 replicas, watched for 0.1 s; "
        "live recall not judged: 0 samples, 0 before, of 200"
    )
    assert current(store) == number
    assert [each.serves("dresses") for each in replicas] == [[number]] * 3
    first = f"dresses: {replicas[0].address}"
    assert said[1:3] == [f"{first} tries it", f"{first} tried it and it passed"]


def test_what_a_dark_try_refuses_is_never_served(follow, served, store, builds, replicas):
    def damage():
        for blob in store.root.glob("blobs/*"):
            if blob.stat().st_size == (builds[1] / "vectors").stat().st_size:
                blob.write_bytes(blob.read_bytes()[:-1])

    done = follow(told=when("is written", damage), built=builds[1])

    assert (done.ending, done.fate) == (Ending.TRY_REFUSED, Fate.STAYED)
    assert f"{replicas[0].address} tried it and refuses: hash_mismatch: blobs/" in done.message
    assert done.message.endswith("CURRENT stays")
    assert current(store) == served


def test_what_one_replica_refuses_after_the_move_goes_back(
    follow, served, store, replicas, monkeypatch
):
    def refuse(*_):
        raise RefusedError("golden_queries", "a recall of 0.4")

    monkeypatch.setattr(replicas[1].loader._intake, "_check_files", refuse)

    done = follow()

    assert (done.ending, done.fate) == (Ending.REFUSED, Fate.MOVED_BACK)
    assert f"{replicas[1].address} refuses it: golden_queries: a recall of 0.4" in done.message
    assert done.message.endswith("CURRENT is moved back to what it was")
    assert current(store) == served


@contextmanager
def no_room(replica):
    """It cannot write its manifests down, which may pass."""
    manifests = replica.cache / "manifests"
    manifests.rename(manifests.with_name("away"))
    manifests.write_bytes(b"in the way")
    try:
        yield
    finally:
        manifests.unlink()
        manifests.with_name("away").rename(manifests)
        replica.loader.look(again=True)  # rather than in 30 s


def test_what_ails_one_replica_takes_nothing_from_enough_others(follow, served, replicas):
    with no_room(replicas[1]):
        late = follow(patience=replace(PATIENT, timeout_seconds=8))
        done = follow(patience=replace(PATIENT, replicas=2))

    assert (late.ending, late.fate) == (Ending.TIMED_OUT, Fate.MOVED_BACK)
    assert f"{replicas[1].address} (failed: " in late.message
    assert (done.ending, done.fate) == (Ending.SERVED, Fate.MOVED)
    assert "is served by 2 of 2 replicas" in done.message


def test_another_replica_tries_what_the_first_has_no_room_for(follow, served, replicas):
    said = []
    with no_room(replicas[0]):
        follow(patience=replace(PATIENT, replicas=2), told=said.append)

    assert f"dresses: {replicas[1].address} tried it and it passed" in said


def test_a_recall_that_was_judged_is_said(follow, served, store, replicas):
    before = read_current(store, "dresses")[1].serving[0].manifest_sha256
    for _ in range(200):
        replicas[0].vitals.sampled(before, 0.99)

    def sample():
        (loaded,) = replicas[0].catalog.serving.generations["dresses"]
        for _ in range(200):
            replicas[0].vitals.sampled(loaded.sha256, 0.985)

    done = follow(told=when("served by", sample))

    assert done.message.endswith("live recall 0.985 (0.990 before)")
    assert follow().ending is Ending.SERVED  # one that nobody has sampled, for the others


def test_internal_errors_take_it_back(follow, served, store, replicas):
    def fail():
        (loaded,) = replicas[2].catalog.serving.generations["dresses"]
        with suppress(ZeroDivisionError), replicas[2].vitals.watch(loaded.sha256):
            raise ZeroDivisionError

    done = follow(told=when("served by", fail))

    assert (done.ending, done.fate) == (Ending.INTERNAL_ERRORS, Fate.MOVED_BACK)
    assert f"{replicas[2].address} ended 1 calls of it with INTERNAL" in done.message
    assert current(store) == served


def test_a_lower_live_recall_takes_it_back_once_enough_was_sampled(follow, served, store, replicas):
    before = read_current(store, "dresses")[1].serving[0].manifest_sha256
    for each in replicas:
        for _ in range(100):
            each.vitals.sampled(before, 0.99)

    def fall(samples):
        (loaded,) = replicas[0].catalog.serving.generations["dresses"]
        for _ in range(samples):
            replicas[0].vitals.sampled(loaded.sha256, 0.96)

    done = follow(told=when("served by", lambda: fall(200)))

    assert (done.ending, done.fate) == (Ending.LOWER_RECALL, Fate.MOVED_BACK)
    assert "live recall 0.960 over 200 samples, before it 0.990 over 300" in done.message
    assert current(store) == served
    known, fewer, close = Recall(0.99, 300), Recall(0.9, 199), Recall(0.975, 900)
    assert not fewer.is_below(known)
    assert not close.is_below(known)
    assert not Recall(0.9, 300).is_below(Recall(0.99, 199))


def test_what_is_not_served_in_time_goes_back(follow, served, store, replicas):
    told = []
    replicas[2].pause()
    try:
        done = follow(patience=replace(HASTY, tell_seconds=0.1), told=told.append)
    finally:
        replicas[2].resume()

    assert (done.ending, done.fate) == (Ending.TIMED_OUT, Fate.MOVED_BACK)
    assert "of 3 replicas after 2 s, not by " in done.message
    assert replicas[2].address in done.message
    waits = [words for words in told if " s, not by " in words]
    assert len(waits) > 3
    assert waits[-1].endswith(replicas[2].address)
    assert current(store) == served


def test_what_somebody_else_moved_is_left_alone(follow, served, store):
    done = follow(told=when("is CURRENT", lambda: roll_back(store, "dresses")))
    assert (done.ending, done.fate) == (Ending.OVERTAKEN, Fate.LEFT_ALONE)
    assert current(store) == served

    def overtake():
        roll_back(store, "dresses", to=done.published.manifest.number)

    late = follow(told=when("tried it", overtake))
    assert (late.ending, late.fate) == (Ending.OVERTAKEN, Fate.LEFT_ALONE)
    assert "CURRENT was moved by somebody else meanwhile; it is left alone" in late.message
    assert current(store) == done.published.manifest.number


def test_on_hold_it_is_tried_and_written_and_no_more(follow, served, store):
    hold(store, "dresses", "the sale")
    try:
        done = follow()
    finally:
        release(store, "dresses")

    assert (done.ending, done.fate) == (Ending.HELD, Fate.STAYED)
    assert "passed, but the index is on hold since" in done.message
    assert current(store) == served


def test_without_a_replica_to_try_it_nothing_moves(follow, served, store):
    with Fleet(lambda: ["127.0.0.1:1"]) as nobody:
        done = follow(fleet=nobody)

    assert (done.ending, done.fate) == (Ending.NOT_TRIED, Fate.STAYED)
    assert "none answers that follows CURRENT" in done.message
    assert current(store) == served


def test_a_pinned_replica_is_neither_asked_nor_waited_for(follow, served, store, replicas, fleet):
    (entry,) = read_current(store, "dresses")[1].serving
    named = {
        "index": "dresses",
        "space_id": entry.space_id,
        "generation": served,
        "manifest_sha256": entry.manifest_sha256,
    }
    admin = fleet.admin(replicas[0].address)
    assert not admin.Pin(admin_pb2.PinRequest(**named, reason="a test")).HasField("refused")
    said = []

    done = follow(told=said.append)

    assert done.ending is Ending.SERVED
    assert "2 of 2 replicas" in done.message
    assert said[2] == f"dresses: {replicas[1].address} tried it and it passed"
    assert replicas[0].serves("dresses") == [served]
    admin.Unpin(admin_pb2.UnpinRequest(index="dresses"))


def test_a_name_stands_for_all_its_addresses():
    assert "127.0.0.1:7" in resolved("localhost", 7)()
