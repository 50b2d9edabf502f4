"""What an operator asks one replica."""

import threading
import types
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from lookalike.search.v1 import admin_pb2 as pb

from lookalike_kit.errors import InvalidField, Overloaded
from search_service.admin_servicer import IndexAdminServicer
from search_service.catalog import Catalog
from search_service.loader import Promoted
from search_service.manifest import Entry
from search_service.pins import Pin
from search_service.readiness import Readiness
from search_service.refusals import Refusal
from search_service.shelf import Shelf
from search_service.vitals import Vitals

NAMED = {"space_id": "a" * 64, "generation": 2, "manifest_sha256": "b" * 64}
ENTRY = Entry(**NAMED)


@dataclass
class Looking:
    """A loader that looks for as long as it is held."""

    generation: object
    go_on: threading.Event
    inside: threading.Event

    refusals = (Refusal("shoes", 3, "c" * 64, "hash_mismatch", "why", False, datetime.now(UTC)),)

    pins = (Pin(index="shoes", entry=ENTRY, reason="lost the boots", since=datetime.now(UTC)),)
    shelves = types.MappingProxyType(
        {"shoes": Shelf(7, datetime(2026, 1, 2, tzinfo=UTC), "boots", has_current=False)}
    )
    store_read = datetime(2026, 1, 3, tzinfo=UTC)
    store_trouble = "indexes/shoes/CURRENT: a link"
    asked: object = None

    def look(self, *, again=False):
        assert again
        self.inside.set()
        assert self.go_on.wait(20)

    def try_dark(self, index, entry):
        self.asked = (index, entry)
        return None if index == "dresses" else self.refusals[0]

    def pin(self, index, entry, reason):
        self.asked = (index, entry, reason)
        return None if index == "dresses" else self.refusals[0]

    def unpin(self, index, space_id):
        self.asked = (index, space_id)

    def served(self):
        return [Promoted(self.generation, datetime.now(UTC), is_current=True, is_pinned=False)]


@pytest.fixture
def loader(opened, forest_build):
    return Looking(opened(forest_build), threading.Event(), threading.Event())


@pytest.fixture
def admin(loader):
    vitals = Vitals()
    vitals.answered(loader.generation.sha256, 64)
    catalog = Catalog()
    catalog.promote("dresses", (loader.generation,))
    readiness = Readiness(catalog, ("shoes", "dresses"), lambda: None)
    return IndexAdminServicer(loader, vitals, readiness, version="1.2.3")


def test_a_status_says_what_the_store_holds(admin):
    [stored] = admin.GetStatus(pb.GetStatusRequest(), None).stored

    assert (stored.index, stored.newest_generation, stored.has_current) == ("shoes", 7, False)
    assert (stored.hold_time.ToDatetime(UTC), stored.hold_reason) == (
        datetime(2026, 1, 2, tzinfo=UTC),
        "boots",
    )


def test_a_status_says_when_the_store_was_read_and_what_of_it_could_not_be(admin, loader):
    status = admin.GetStatus(pb.GetStatusRequest(), None)
    assert status.store_read_time.ToDatetime(UTC) == datetime(2026, 1, 3, tzinfo=UTC)
    assert status.store_trouble == "indexes/shoes/CURRENT: a link"

    loader.store_read = None
    assert not admin.GetStatus(pb.GetStatusRequest(), None).HasField("store_read_time")


def test_a_status_says_what_is_served_and_what_was_refused_and_why(admin, loader):
    status = admin.GetStatus(pb.GetStatusRequest(), None)

    (loaded,) = status.loaded
    assert (loaded.index, loaded.generation, loaded.is_current) == ("dresses", 1, True)
    assert (loaded.photo_count, loaded.item_count) == (1200, 400)
    assert loaded.manifest_sha256 == loader.generation.sha256
    assert loaded.mapped_bytes > 1200 * 32 * 4
    assert (loaded.queries, loaded.internal_errors, loaded.live_recall_samples) == (64, 0, 0)
    (refused,) = status.refused
    assert (refused.index, refused.generation, refused.reason) == ("shoes", 3, "hash_mismatch")
    (pinned,) = status.pinned
    assert (pinned.index, pinned.generation, pinned.reason) == ("shoes", 2, "lost the boots")
    assert (status.ready, status.version) == (False, "1.2.3")
    assert status.missing == ["shoes"]


def test_a_try_says_that_it_passed_or_what_is_wrong(admin, loader):
    assert admin.Try(pb.TryRequest(index="dresses", **NAMED), None).passed
    assert loader.asked == ("dresses", ENTRY)

    tried = admin.Try(pb.TryRequest(index="shoes", **NAMED), None)
    assert not tried.passed
    assert tried.refused.reason == "hash_mismatch"


def test_a_pin_is_set_with_its_reason_and_taken_out_by_its_space_or_all(admin, loader):
    pinned = admin.Pin(pb.PinRequest(index="dresses", reason="why", **NAMED), None)
    assert loader.asked == ("dresses", ENTRY, "why")
    assert not pinned.HasField("refused")
    assert pinned.status.pinned
    assert admin.Pin(pb.PinRequest(index="shoes", reason="why", **NAMED), None).refused.reason

    admin.Unpin(pb.UnpinRequest(index="dresses", space_id="a" * 64), None)
    assert loader.asked == ("dresses", "a" * 64)
    admin.Unpin(pb.UnpinRequest(index="dresses"), None)
    assert loader.asked == ("dresses", None)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"index": "../etc"}, "index"),
        ({"space_id": "a"}, "space_id"),
        ({"manifest_sha256": "../b"}, "manifest_sha256"),
        ({"generation": 0}, "generation"),
        ({"reason": ""}, "reason"),
        ({"reason": "x" * 501}, "reason"),
    ],
)
def test_what_a_pin_names_is_checked_before_it_is_a_key(admin, changed, field):
    named = {"index": "dresses", "reason": "why", **NAMED, **changed}

    with pytest.raises(InvalidField, match=f"^{field}: expected"):
        admin.Pin(pb.PinRequest(**named), None)


def test_one_long_call_at_a_time_or_health_would_have_no_thread_left(admin, loader):
    first = threading.Thread(target=admin.Refresh, args=(pb.RefreshRequest(), None))
    first.start()
    assert loader.inside.wait(20)

    with pytest.raises(Overloaded, match="one at a time"):
        admin.Try(pb.TryRequest(index="dresses", **NAMED), None)
    assert admin.GetStatus(pb.GetStatusRequest(), None).loaded

    loader.go_on.set()
    first.join()
    assert admin.Refresh(pb.RefreshRequest(), None).status.loaded
