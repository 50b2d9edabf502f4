"""What a replica says of the store, of itself, and of the distance between the two."""

import time
from dataclasses import dataclass

import pytest
from prometheus_client import CollectorRegistry

from search_service.build import hold, publish, release, roll_back
from search_service.cache import Cache
from search_service.catalog import Catalog
from search_service.following import Following
from search_service.loader import Loader
from search_service.manifest import Entry, blob_key, current_key, hold_key
from search_service.metrics import SearchMetrics

SPACE = "a" * 64


@dataclass
class Replica:
    """A loader that looks when told to, and its gauges."""

    loader: Loader
    registry: CollectorRegistry

    def gauge(self, name, index="dresses", **labels):
        return self.registry.get_sample_value(
            f"lookalike_search_{name}", {"index": index, **labels}
        )

    def numbers(self):
        return self.gauge("current_generation", space_id=SPACE), self.gauge("newest_generation")


@pytest.fixture
def replica(store, tmp_path):
    registry, catalog, cache = CollectorRegistry(), Catalog(), Cache(tmp_path / "cache")
    metrics = SearchMetrics(registry, catalog)
    loader = Loader(store, cache, catalog, metrics, indexes=("dresses",), on_look=lambda _: None)
    registry.register(Following(loader, cache))
    return Replica(loader, registry)


def test_what_was_published_and_is_not_served_shows_in_two_numbers(replica, store, builds):
    publish(store, "dresses", builds[0])
    publish(store, "shoes", builds[0])
    replica.loader.look()
    assert replica.numbers() == (1, 1)

    publish(store, "dresses", builds[1], serve=False)
    replica.loader.look()
    assert replica.numbers() == (1, 2)

    publish(store, "dresses", builds[1])
    replica.loader.look()
    assert replica.numbers() == (3, 3)

    roll_back(store, "dresses", to=1)
    replica.loader.look()
    assert replica.numbers() == (1, 3)
    # Of an index that this replica does not follow it says nothing.
    assert replica.gauge("newest_generation", index="shoes") is None


def test_a_hold_and_a_pin_say_since_when(replica, store, builds):
    first = publish(store, "dresses", builds[0])
    replica.loader.look()
    assert replica.gauge("hold_timestamp_seconds") is None
    assert replica.gauge("pin_timestamp_seconds", space_id=SPACE) is None

    hold(store, "dresses", "to look at it")
    entry = Entry(space_id=SPACE, generation=1, manifest_sha256=first.sha256)
    assert replica.loader.pin("dresses", entry, "to compare") is None
    replica.loader.look()
    now = time.time()
    assert now - 60 < replica.gauge("hold_timestamp_seconds") <= now
    assert now - 60 < replica.gauge("pin_timestamp_seconds", space_id=SPACE) <= now

    store.put(hold_key("dresses"), b"garbage")
    replica.loader.look()
    assert replica.gauge("hold_timestamp_seconds") == 0

    release(store, "dresses")
    replica.loader.unpin("dresses", None)
    replica.loader.look()
    assert replica.gauge("hold_timestamp_seconds") is None
    assert replica.gauge("pin_timestamp_seconds", space_id=SPACE) is None


def test_a_refusal_shows_as_long_as_current_asks_for_what_was_refused(replica, store, builds):
    publish(store, "dresses", builds[0])
    replica.loader.look()
    bad = publish(store, "dresses", builds[1])
    path = store.root / blob_key(bad.manifest.base.blobs["vectors"].sha256)
    path.write_bytes(path.read_bytes()[:-1])
    replica.loader.look()
    assert replica.gauge("refused", reason="hash_mismatch") == 1

    roll_back(store, "dresses")
    replica.loader.look()
    assert replica.gauge("refused", reason="hash_mismatch") is None

    store.put(current_key("dresses"), b"garbage")
    replica.loader.look()
    assert replica.gauge("refused", reason="bad_current") == 1


def test_the_room_on_the_disk_of_the_cache_is_known(replica):
    free = replica.registry.get_sample_value("lookalike_search_cache_free_bytes")
    size = replica.registry.get_sample_value("lookalike_search_cache_size_bytes")

    assert 0 < free < size


def test_swaps_are_counted_from_zero(replica, store, builds):
    """A counter that appears as it is counted up shows no increase."""
    store.put(current_key("dresses"), b"garbage")
    replica.loader.look()

    for result, count in (("promoted", 0), ("refused", 1)):
        labels = {"index": "dresses", "result": result}
        assert replica.registry.get_sample_value("lookalike_search_swaps_total", labels) == count


def test_a_current_that_is_gone_shows_on_the_shelf(replica, store, builds):
    publish(store, "dresses", builds[0])
    replica.loader.look()
    assert replica.loader.shelves["dresses"].has_current

    (store.root / current_key("dresses")).unlink()
    hold(store, "dresses", "lost")
    replica.loader.look()

    shelf = replica.loader.shelves["dresses"]
    assert (shelf.newest, shelf.has_current, shelf.hold_reason) == (1, False, "lost")


def test_a_store_that_is_away_shows_by_when_it_was_read_last(replica, store, builds):
    def read():
        return replica.registry.get_sample_value("lookalike_search_store_read_timestamp_seconds")

    started = read()
    assert time.time() - 60 < started <= time.time()
    publish(store, "dresses", builds[0])
    replica.loader.look()
    looked = read()
    assert looked > started
    assert replica.loader.store_trouble == ""

    store.root.rename(store.root.with_name("away"))
    replica.loader.look()
    assert read() == looked
    assert replica.loader.store_trouble == f"{store.root}: expected a folder"

    store.root.with_name("away").rename(store.root)
    replica.loader.look()
    assert read() > looked
    assert replica.loader.store_trouble == ""


def test_current_is_followed_even_where_nothing_else_of_the_index_can_be_read(
    replica, store, builds
):
    publish(store, "dresses", builds[0])
    replica.loader.look()
    publish(store, "dresses", builds[1])
    (store.root / hold_key("dresses")).mkdir()

    replica.loader.look()

    assert [each.generation.manifest.number for each in replica.loader.served()] == [2]
    assert replica.loader.shelves["dresses"].newest == 1  # as it was read last
    assert replica.registry.get_sample_value("lookalike_search_store_errors_total") == 1
