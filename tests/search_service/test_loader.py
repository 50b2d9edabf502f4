"""The loader over a real store: what passes is served, what does not is refused."""

import gc
import json
import os
import shutil
import signal
import threading
import time
import weakref
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from lookalike_kit.errors import InvalidField
from search_service.build import add, hold, publish, release, remove, roll_back
from search_service.build.publish import read_current
from search_service.cache import Cache
from search_service.catalog import Catalog
from search_service.errors import IndexNotLoaded, UnknownIndex
from search_service.loader import Loader
from search_service.manifest import (
    SCHEMA,
    Current,
    Entry,
    blob_key,
    current_key,
    digest,
    encode,
    manifest_key,
)
from search_service.metrics import SearchMetrics

SPACE = "a" * 64
OTHER_SPACE = "b" * 64


@dataclass
class Replica:
    """A loader with what it fills; no threads: it looks when told to."""

    loader: Loader
    catalog: Catalog
    registry: CollectorRegistry
    looks: list[tuple[bool, set[str]]]  # whether at all indexes; what was served then

    def serves(self, index="dresses"):
        found = self.catalog.serving.generations.get(index, ())
        return [(each.manifest.space_id, each.manifest.number) for each in found]

    def look(self, **kwargs):
        self.loader.look(**kwargs)
        return self.serves()

    def reasons(self):
        return [(each.generation, each.reason) for each in self.loader.refusals]

    def counted(self, name, **labels):
        return self.registry.get_sample_value(f"lookalike_search_{name}_total", labels) or 0


@pytest.fixture
def start(store, tmp_path):
    """start(indexes=…): a fresh process's loader over the store and the one cache folder."""

    def start(indexes=(), cache="cache", **settings):
        catalog, registry, looks = Catalog(), CollectorRegistry(), []
        loader = Loader(
            store,
            Cache(tmp_path / cache),
            catalog,
            SearchMetrics(registry, catalog),
            indexes=indexes,
            on_look=lambda everywhere: looks.append((everywhere, {*catalog.serving.generations})),
            **settings,
        )
        return Replica(loader, catalog, registry, looks)

    return start


def flip(store, blob):
    path = store.root / blob_key(blob.sha256)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def entry_of(published):
    return Entry(
        space_id=published.manifest.space_id,
        generation=published.manifest.number,
        manifest_sha256=published.sha256,
    )


def current_of(published):
    return encode(Current(schema=SCHEMA, serving=(entry_of(published),)))


def forge(store, published, **changes):
    """Another manifest under its right hash, and CURRENT that names it."""
    index = published.manifest.index
    data = {**json.loads(encode(published.manifest)), **changes}
    forged = json.dumps(data).encode()
    store.put(manifest_key(index, published.manifest.number, digest(forged)), forged)
    number = published.manifest.number
    entry = Entry(space_id=SPACE, generation=number, manifest_sha256=digest(forged))
    store.put(current_key(index), encode(Current(schema=SCHEMA, serving=(entry,))))


def test_what_current_names_is_served_and_the_old_generation_is_let_go(
    start, store, builds, tmp_path
):
    replica = start()
    assert replica.look() == []
    assert len(replica.looks) == 1

    publish(store, "dresses", builds[0])
    assert replica.look() == [(SPACE, 1)]
    old = weakref.ref(replica.catalog.serving.generations["dresses"][0])
    second = publish(store, "dresses", builds[1])
    assert replica.look() == [(SPACE, 2)]
    gc.collect()
    assert old() is None

    hold(store, "dresses", "wait")
    publish(store, "dresses", builds[0])
    assert replica.look() == [(SPACE, 2)]
    release(store, "dresses")
    third = publish(store, "dresses", builds[2])
    assert replica.look() == [(SPACE, 4)]
    assert replica.counted("swaps", index="dresses", result="promoted") == 3
    assert [each.is_current for each in replica.loader.served()] == [True]

    named = set(second.manifest.blobs()) | set(third.manifest.blobs())
    kept = {path.name for path in (tmp_path / "cache/blobs").iterdir()} - {".lock"}
    assert kept == named  # what was served just before stays: the way back is short


def test_two_spaces_stand_side_by_side_in_the_order_of_current(start, store, builds, other_build):
    replica = start()
    publish(store, "dresses", other_build)
    publish(store, "dresses", builds[0])

    assert replica.look() == [(OTHER_SPACE, 1), (SPACE, 2)]
    listed = [each.generation.manifest.space_id for each in replica.loader.served()]
    assert listed == [SPACE, OTHER_SPACE]

    current = read_current(store, "dresses")[1]
    store.put(current_key("dresses"), encode(replace(current, serving=current.serving[1:])))
    assert replica.look() == [(SPACE, 2)]


def test_what_would_exceed_the_budget_is_refused_and_what_is_served_stays(start, store, builds):
    first = publish(store, "dresses", builds[0]).manifest.mapped_bytes
    replica = start(max_mapped_bytes=2 * first)
    assert replica.look() == [(SPACE, 1)]

    second = publish(store, "dresses", builds[1])
    assert replica.look() == [(SPACE, 1)]
    assert replica.reasons() == [(2, "over_budget")]
    assert replica.loader.refusals[0].message == (
        f"mapped bytes: expected at most {2 * first} for all that is served and this generation, "
        f"got {first + second.manifest.mapped_bytes}"
    )
    # It is not quarantined: with room enough, the same generation passes.
    roomy = start(max_mapped_bytes=first + second.manifest.mapped_bytes, cache="other")
    assert roomy.look() == [(SPACE, 2)]


def test_blobs_that_two_generations_share_count_once(start, store, builds):
    first = publish(store, "dresses", builds[0]).manifest
    replica = start(max_mapped_bytes=first.mapped_bytes)
    assert replica.look() == [(SPACE, 1)]

    again = publish(store, "dresses", builds[0]).manifest
    assert again.blobs() == first.blobs()
    assert replica.look() == [(SPACE, 2)]


def test_the_first_indexes_of_the_list_take_the_budget(start, store, builds):
    for index in ("bags", "coats", "dresses"):
        size = publish(store, index, builds[0]).manifest.mapped_bytes
    for index, built in (("coats", builds[1]), ("dresses", builds[2])):
        publish(store, index, built)
    replica = start(indexes=("dresses", "bags", "coats"), max_mapped_bytes=5 * size // 2)

    assert replica.look() == [(SPACE, 2)]
    assert replica.serves("bags") == [(SPACE, 1)]
    # Its ancestor's files are mapped for "bags" already, and so cost nothing.
    assert replica.serves("coats") == [(SPACE, 1)]
    assert [each.index for each in replica.loader.refusals] == ["coats"]


def test_a_flipped_byte_is_refused_once_and_tried_again_when_asked(start, store, builds):
    replica = start()
    publish(store, "dresses", builds[0])
    replica.look()
    bad = publish(store, "dresses", builds[1])
    flip(store, bad.manifest.base.blobs["vectors"])

    for _ in range(3):
        assert replica.look() == [(SPACE, 1)]
    assert replica.reasons() == [(2, "hash_mismatch")]
    assert replica.counted("refusals", index="dresses", reason="hash_mismatch") == 1
    assert [each.is_current for each in replica.loader.served()] == [False]

    store.put_blob(builds[1] / "vectors")
    assert replica.look() == [(SPACE, 1)]
    assert replica.look(again=True) == [(SPACE, 2)]


def test_a_missing_blob_is_refused_and_said_once_however_often_it_is_tried(start, store, builds):
    replica = start()
    bad = publish(store, "dresses", builds[0])
    store.delete(blob_key(bad.manifest.base.blobs["photos"].sha256))

    for _ in range(3):
        assert replica.look(again=True) == []
    assert replica.reasons() == [(1, "blob_missing")]
    assert bad.manifest.base.blobs["photos"].sha256 in replica.loader.refusals[0].message
    assert replica.counted("refusals", index="dresses", reason="blob_missing") == 3


@pytest.mark.parametrize("data", [b"", b"garbage", b"{}", b"\xff" * 100, b'{"schema": 9}'])
def test_a_current_that_is_garbage_leaves_what_is_served(start, store, builds, data):
    replica = start()
    store.put(current_key("dresses"), data)

    assert replica.look() == []
    assert replica.reasons() == [(0, "bad_current")]
    with pytest.raises(IndexNotLoaded):
        replica.catalog.generations("dresses")
    assert replica.looks


def test_a_current_that_turns_to_garbage_changes_nothing(start, store, builds):
    replica = start()
    publish(store, "dresses", builds[0])
    replica.look()
    store.put(current_key("dresses"), b"garbage")

    assert replica.look() == [(SPACE, 1)]


def test_a_fresh_replica_walks_to_the_newest_ancestor_that_passes(start, store, builds):
    for built in builds:
        bad = publish(store, "dresses", built)
        if bad.manifest.number > 1:
            flip(store, bad.manifest.base.blobs["vectors"])

    def everything():
        return {path: path.stat().st_mtime_ns for path in sorted(store.root.rglob("*"))}

    replica, before = start(), everything()

    assert replica.look() == [(SPACE, 1)]
    assert everything() == before  # a store is only read
    assert sorted(replica.reasons()) == [(2, "hash_mismatch"), (3, "hash_mismatch")]
    assert [each.is_current for each in replica.loader.served()] == [False]


def test_truncated_manifests_cost_a_restarted_replica_nothing(start, store, builds):
    good = publish(store, "dresses", builds[0])
    start().look()
    bad = publish(store, "dresses", builds[1])
    for each in (good, bad):
        path = store.root / manifest_key("dresses", each.manifest.number, each.sha256)
        path.write_bytes(path.read_bytes()[:100])

    replica = start()

    assert replica.look() == [(SPACE, 1)]
    assert replica.reasons() == [(2, "hash_mismatch")]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"segments": []}, "bad_manifest"),
        ({"schema": 3}, "bad_manifest"),
        ({"index": "shoes"}, "bad_manifest"),
        ({"number": 7}, "bad_manifest"),
        ({"space_id": "c" * 64}, "bad_manifest"),
        ({"dimension": 31}, "bad_structure"),
    ],
)
def test_a_forged_manifest_of_the_right_hash_is_refused(start, store, builds, changes, reason):
    published = publish(store, "dresses", builds[0])
    forge(store, published, **changes)
    replica = start()

    for _ in range(2):
        assert replica.look() == []
    assert replica.reasons() == [(1, reason)]


def test_a_forged_forest_of_the_right_hash_is_refused(start, store, builds, tmp_path):
    published = publish(store, "dresses", builds[0])
    forest = bytearray((builds[0] / "forest").read_bytes())
    forest[-8:] = b"\xff" * 8
    (tmp_path / "forest").write_bytes(forest)
    blob = store.put_blob(tmp_path / "forest")
    (segment,) = json.loads(encode(published.manifest))["segments"]
    segment["blobs"]["forest"] = {"sha256": blob.sha256, "bytes": blob.bytes}
    forge(store, published, segments=[segment])
    replica = start()

    assert replica.look() == []
    assert replica.reasons() == [(1, "bad_structure")]
    assert replica.loader.refusals[0].message.startswith("forest: expected")


def test_another_catalogues_vectors_are_found_out_by_the_golden_queries(start, store, builds):
    """Whole files of the right hashes: but the golden queries are of another build."""
    published = publish(store, "dresses", builds[0])
    other = publish(store, "shoes", builds[1])
    (segment,) = json.loads(encode(published.manifest))["segments"]
    (another,) = json.loads(encode(other.manifest))["segments"]
    segment["golden"] = another["golden"]
    segment["blobs"]["golden"] = another["blobs"]["golden"]
    forge(store, published, segments=[segment])
    replica = start(indexes=("dresses",))

    assert replica.look() == []
    assert replica.reasons() == [(1, "golden_queries")]


def test_one_bad_index_keeps_no_other_from_being_served(start, store, builds):
    store.put("indexes/notes", b"a stray file")
    (store.root / "indexes/a-link").mkdir()
    (store.root / "indexes/a-link/CURRENT").symlink_to("/etc/passwd")
    (store.root / "indexes/a-folder/CURRENT").mkdir(parents=True)
    store.put(current_key("a-garbage"), b"garbage")
    forge(store, publish(store, "a-forged", builds[0]), segments=[])
    publish(store, "dresses", builds[0])
    replica = start()

    assert replica.look() == [(SPACE, 1)]
    assert set(replica.catalog.serving.generations) == {"dresses"}
    for each in ("a-link", "a-folder", "a-garbage", "a-forged"):
        with pytest.raises(IndexNotLoaded):
            replica.catalog.generations(each)
    with pytest.raises(UnknownIndex):
        replica.catalog.generations("notes")
    assert replica.counted("store_errors") == 2


def test_a_restart_keeps_the_copies_of_every_index(start, store, builds):
    publish(store, "coats", builds[0])
    publish(store, "dresses", builds[1])
    start().look()
    store.put(current_key("dresses"), b"garbage")
    shutil.rmtree(store.root / "blobs")
    shutil.rmtree(store.root / "indexes/dresses/generations")

    replica = start()

    assert replica.look() == [(SPACE, 1)]
    assert replica.serves("coats") == [(SPACE, 1)]


def test_a_replica_without_its_store_serves_what_it_has_and_without_both_is_not_ready(
    start, store, builds
):
    publish(store, "dresses", builds[0])
    running = start()
    running.look()
    served = running.catalog.serving.generations["dresses"]
    store.root.rename(store.root.with_name("away"))

    running.look()
    assert running.catalog.serving.generations["dresses"] is served
    assert running.reasons() == []
    replica, fresh = start(), start(cache="other")

    assert replica.look() == [(SPACE, 1)]
    assert replica.looks
    assert replica.counted("store_errors") == 1
    assert [each.is_current for each in replica.loader.served()] == [True]  # as far as is known
    assert fresh.look() == []
    assert not fresh.looks
    store.root.with_name("away").rename(store.root)
    assert fresh.look() == [(SPACE, 1)]
    assert fresh.looks


@pytest.mark.parametrize("reason", ["no_memory", "no_disk"])
def test_what_there_is_no_room_for_is_refused_until_there_is(
    start, store, builds, monkeypatch, reason
):
    mapped = publish(store, "dresses", builds[0]).manifest.mapped_bytes
    replica = start()
    with monkeypatch.context() as full:
        if reason == "no_memory":
            full.setattr("search_service.intake.available_memory_bytes", lambda: mapped - 1)
        else:
            full.setattr(Cache, "free_bytes", lambda _: mapped)
        assert replica.look() == []
    assert replica.reasons() == [(1, reason)]

    replica.loader._retry_at["dresses"] = 0.0
    assert replica.look() == [(SPACE, 1)]


def test_an_empty_folder_in_the_stores_place_is_a_store_that_cannot_be_read(start, store, builds):
    publish(store, "dresses", builds[0])
    running = start()
    running.look()
    store.root.rename(store.root.with_name("away"))
    store.root.mkdir()  # a mount point with nothing mounted on it

    restarted, fresh = start(), start(cache="other")

    assert running.look() == restarted.look() == [(SPACE, 1)]
    for replica in (running, restarted):
        assert replica.loader.store_trouble.endswith(
            "expected indexes, dresses among them, got none"
        )
    assert restarted.looks[-1] == (True, {"dresses"})
    assert fresh.look() == []  # a new store is empty, too
    assert fresh.looks


def test_what_could_not_be_written_down_of_a_promotion_is_so_at_the_next_look(
    start, store, builds, tmp_path
):
    publish(store, "dresses", builds[0])
    replica = start()
    (tmp_path / "cache" / "current").write_bytes(b"in the way")
    assert replica.look() == [(SPACE, 1)]

    (tmp_path / "cache" / "current").unlink()
    replica.loader._retry_at["dresses"] = 0.0
    replica.look()
    store.root.rename(store.root.with_name("away"))

    assert start().look() == [(SPACE, 1)]


def test_where_a_manifest_is_damaged_a_replica_stays_with_what_it_served(start, store, builds):
    publish(store, "dresses", builds[0])
    start().look()
    publish(store, "dresses", builds[1], serve=False)  # refused by a dark try, say
    last = publish(store, "dresses", builds[2])
    store.delete(manifest_key("dresses", 3, last.sha256))

    assert start().look() == [(SPACE, 1)]


def test_parents_that_go_in_a_circle_are_walked_once(start, store, builds):
    """As where generations came back from a backup that is older than CURRENT."""
    publish(store, "dresses", builds[0])
    bad = publish(store, "dresses", builds[1])
    flip(store, bad.manifest.base.blobs["vectors"])
    forge(store, bad, parent={"number": 4, "sha256": "d" * 64})

    assert start().look() == []


@pytest.mark.parametrize("damage", ["flipped", "gone"])
def test_where_a_manifest_is_damaged_a_fresh_replica_serves_the_generation_before(
    start, store, builds, other_build, damage
):
    publish(store, "dresses", builds[0])
    publish(store, "dresses", builds[1])
    publish(store, "dresses", other_build)
    last = publish(store, "dresses", builds[2])
    key = manifest_key("dresses", 4, last.sha256)
    if damage == "gone":
        store.delete(key)
    else:
        store.put(key, b" " + store.read(key))
    replica = start()

    assert replica.look() == [(SPACE, 2), (OTHER_SPACE, 3)]
    assert [number for number, _ in replica.reasons()] == [4]


def test_only_the_indexes_asked_for_are_looked_at(start, store, builds):
    for index in ("coats", "dresses"):
        publish(store, index, builds[0])
    shutil.rmtree(store.root / "blobs")
    replica = start(indexes=("dresses", "never-published"))
    replica.look()

    assert [each.index for each in replica.loader.refusals] == ["dresses"]
    with pytest.raises(IndexNotLoaded):
        replica.catalog.generations("coats")
    with pytest.raises(UnknownIndex):
        replica.catalog.generations("never-published")


def test_required_indexes_come_first_and_are_told_before_the_others_are_there(start, store, builds):
    for index in ("coats", "dresses", "shoes"):
        publish(store, index, builds[0])
    replica = start(required=("shoes",))
    replica.look()

    assert replica.looks == [
        (False, {"shoes"}),
        (False, {"shoes", "coats"}),
        (False, {"shoes", "coats", "dresses"}),
        (True, {"shoes", "coats", "dresses"}),
    ]


def test_looks_from_several_threads_do_each_thing_once(start, store, builds):
    publish(store, "dresses", builds[0])
    replica = start()
    threads = [
        threading.Thread(target=replica.loader.look, kwargs={"again": i % 2 == 0}) for i in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        replica.loader.served()
        thread.join()

    assert replica.serves() == [(SPACE, 1)]
    assert replica.counted("swaps", index="dresses", result="promoted") == 1


def test_the_loader_survives_whatever_a_look_meets(start, store, builds, tmp_path):
    """The cache's own folder turns into a file under it, and back."""
    publish(store, "dresses", builds[0])
    replica = start()
    (tmp_path / "cache/manifests").write_bytes(b"in the way")
    stop = threading.Event()
    thread = threading.Thread(target=replica.loader.run, args=(stop, 0.01))
    thread.start()
    try:
        while not replica.loader.refusals:
            assert thread.is_alive()
            time.sleep(0.01)
        (tmp_path / "cache/manifests").unlink()
        replica.loader.look(again=True)
        assert replica.serves() == [(SPACE, 1)]
    finally:
        stop.set()
        thread.join()
    assert replica.reasons() == [(1, "failed")]


@pytest.mark.parametrize(
    ("work", "by", "reason"),
    [
        ("check", signal.SIGKILL, "check_crashed"),  # as the kernel does where memory is short
        ("fetch", signal.SIGTERM, "fetch_crashed"),
    ],
)
def test_work_that_was_ended_from_outside_is_tried_again(start, store, builds, work, by, reason):
    publish(store, "dresses", builds[0])
    replica = start()
    look = threading.Thread(target=replica.look)
    look.start()
    while not (child := child_at(work)):
        assert look.is_alive()
        time.sleep(0.005)
    os.kill(child, by)
    look.join()

    (refusal,) = replica.loader.refusals
    assert (refusal.reason, refusal.passing) == (reason, True)
    assert replica.look(again=True) == [(SPACE, 1)]


def child_at(work):
    """The process that fetches files, or looks at them, before this one maps them."""
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # threads and processes come and go
            for child in (task / "children").read_text().split():
                if f"search_service.{work}" in Path(f"/proc/{child}/cmdline").read_text():
                    return int(child)
    return None


def test_100_refusals_are_kept(start, store):
    replica = start()
    current = store.root / current_key("dresses")
    current.parent.mkdir(parents=True)
    for i in range(120):
        current.write_bytes(f"garbage {i}".encode())
        replica.look()

    assert len(replica.loader.refusals) == 100
    assert replica.loader.refusals[0].manifest_sha256 == digest(b"garbage 119")


def test_a_generation_tried_dark_is_not_served_but_kept_for_its_promotion(start, store, builds):
    publish(store, "dresses", builds[0])
    replica = start()
    replica.look()
    written = publish(store, "dresses", builds[1], serve=False)

    assert replica.loader.try_dark("dresses", entry_of(written)) is None
    assert replica.serves() == [(SPACE, 1)]
    shutil.rmtree(store.root / "blobs")  # everything is here already
    store.put(current_key("dresses"), current_of(written))
    assert replica.look() == [(SPACE, 2)]
    assert replica.loader.try_dark("dresses", entry_of(written)) is None  # it is served


def test_a_try_before_the_first_look_or_after_an_unpin_costs_no_other_index_its_copies(
    start, store, builds
):
    coats = publish(store, "coats", builds[0])
    publish(store, "dresses", builds[1])
    start().look()
    tried = entry_of(publish(store, "dresses", builds[2], serve=False))

    again = start()
    assert again.loader.try_dark("dresses", tried) is None
    for blob in coats.manifest.blobs():
        store.delete(blob_key(blob))  # who fetches them again fails
    assert again.look() == [(SPACE, 1)]
    assert again.serves("coats") == [(SPACE, 1)]

    assert again.loader.pin("coats", entry_of(coats), "to compare") is None
    again.loader.unpin("coats", None)
    assert again.loader.try_dark("dresses", tried) is None
    once_more = start()
    once_more.look()
    assert once_more.serves("coats") == [(SPACE, 1)]


def test_what_a_try_finds_wrong_is_said_and_tried_again_only_by_a_try(start, store, builds):
    publish(store, "dresses", builds[0])
    replica = start()
    replica.look()
    bad = publish(store, "dresses", builds[1], serve=False)
    flip(store, bad.manifest.segments[0].blobs["vectors"])

    refusal = replica.loader.try_dark("dresses", entry_of(bad))
    assert (refusal.reason, refusal.passing) == ("hash_mismatch", False)
    assert replica.loader.refusals == (refusal,)
    assert replica.counted("swaps", index="dresses", result="refused") == 0  # CURRENT is elsewhere

    store.put_blob(builds[1] / "vectors")
    store.put(current_key("dresses"), current_of(bad))
    assert replica.look() == [(SPACE, 1)]
    assert replica.loader.try_dark("dresses", entry_of(bad)) is None
    assert replica.look(again=True) == [(SPACE, 2)]


def test_what_was_tried_and_then_passed_over_leaves_its_place_in_the_budget(start, store, builds):
    first = publish(store, "dresses", builds[0])
    room = first.manifest.mapped_bytes * 5 // 2  # for two, not for three
    replica = start(max_mapped_bytes=room)
    replica.look()
    tried = publish(store, "dresses", builds[1], serve=False)
    assert replica.loader.try_dark("dresses", entry_of(tried)) is None
    publish(store, "dresses", builds[2])

    assert replica.look() == [(SPACE, 3)]


def test_a_pin_needs_no_store_and_holds_against_current_a_restart_and_a_prune(start, store, builds):
    first = publish(store, "dresses", builds[0])
    replica = start()
    replica.look()
    publish(store, "dresses", builds[1])
    replica.look()

    store.root.rename(store.root.with_name("away"))
    assert replica.loader.pin("dresses", entry_of(first), "2 lost the shoes") is None
    assert replica.serves() == [(SPACE, 1)]
    store.root.with_name("away").rename(store.root)
    publish(store, "dresses", builds[2])
    shutil.rmtree(store.root / "blobs")
    assert replica.look() == [(SPACE, 1)]
    (served,) = replica.loader.served()
    assert (served.is_pinned, served.is_current) == (True, False)

    again = start()
    assert again.look() == [(SPACE, 1)]
    (pin,) = again.loader.pins
    assert (pin.entry, pin.reason) == (entry_of(first), "2 lost the shoes")

    for built in builds:
        for path in built.iterdir():
            store.put_blob(path)
    again.loader.unpin("dresses", SPACE)
    assert again.look() == [(SPACE, 3)]
    assert start().loader.pins == ()


def test_a_pin_is_of_one_space_and_one_that_is_refused_pins_nothing(
    start, store, builds, other_build
):
    first = publish(store, "dresses", builds[0])
    publish(store, "dresses", other_build)
    replica = start()
    replica.look()
    bad = publish(store, "dresses", builds[1])
    flip(store, bad.manifest.segments[0].blobs["items"])

    assert replica.loader.pin("dresses", entry_of(bad), "why").reason == "hash_mismatch"
    assert replica.loader.pins == ()
    assert replica.loader.pin("dresses", entry_of(first), "why") is None
    publish(store, "dresses", builds[2], only=True)
    assert replica.look() == [(SPACE, 1)]
    publish(store, "dresses", other_build)
    assert replica.look() == [(SPACE, 1), (OTHER_SPACE, 5)]


def test_only_what_is_followed_is_tried_or_pinned(start, store, builds):
    published = publish(store, "dresses", builds[0])
    replica = start(indexes=("coats",))

    for call in (replica.loader.try_dark, lambda *args: replica.loader.pin(*args, "why")):
        with pytest.raises(InvalidField, match="one that this replica follows"):
            call("dresses", entry_of(published))


def test_a_new_current_waits_its_share_but_the_way_back_and_a_try_do_not(start, store, builds):
    publish(store, "dresses", builds[0])
    replica = start(jitter_seconds=3600)
    assert replica.look() == [(SPACE, 1)]  # what serves nothing does not wait

    second = publish(store, "dresses", builds[1])
    assert replica.look() == [(SPACE, 1)]
    assert [each.is_current for each in replica.loader.served()] == [False]
    assert replica.loader.try_dark("dresses", entry_of(second)) is None
    assert replica.look() == [(SPACE, 2)]
    roll_back(store, "dresses")
    assert replica.look() == [(SPACE, 1)]


def test_a_waiting_replica_loads_when_its_share_is_over(start, store, builds):
    publish(store, "dresses", builds[0])
    replica = start(jitter_seconds=0.2)
    replica.look()
    stop = threading.Event()
    publish(store, "dresses", builds[1])
    thread = threading.Thread(target=replica.loader.run, args=(stop, 3600))
    thread.start()
    try:
        while replica.serves() != [(SPACE, 2)]:
            time.sleep(0.01)
            assert thread.is_alive()
    finally:
        stop.set()
        thread.join()


def test_a_delta_is_all_that_a_change_fetches_checks_and_maps(start, store, builds, drawn):
    base = publish(store, "dresses", builds[0])
    replica = start()
    replica.look()
    before = replica.catalog.current("dresses", SPACE)
    add(store, "dresses", drawn(3, prefix="new-"))
    for blob in base.manifest.blobs():
        store.delete(blob_key(blob))  # who fetches the base again fails

    assert replica.look() == [(SPACE, 2)]
    after = replica.catalog.current("dresses", SPACE)
    assert after.segments.parts[0] is before.segments.parts[0]
    assert after.segments.find_item("new-item-00001") is not None


def test_a_damaged_change_is_refused_and_what_was_served_stays(start, store, builds, drawn):
    publish(store, "dresses", builds[0])
    add(store, "dresses", drawn(3, prefix="new-"))
    replica = start()
    replica.look()
    changed = add(store, "dresses", drawn(5)).published

    for damage in (
        {"dead": None},  # five items would be there twice
        {"dead": {**json.loads(encode(changed.manifest))["dead"], "items": 4}},
    ):
        forge(store, changed, **damage)
        assert replica.look() == [(SPACE, 2)]
    assert replica.reasons() == [(3, "bad_structure"), (3, "bad_structure")]
    assert "expected 4 items" in replica.loader.refusals[0].message
    assert "in one segment" in replica.loader.refusals[1].message


def test_a_fresh_replica_takes_up_a_changed_index(start, store, builds, drawn):
    publish(store, "dresses", builds[0])
    add(store, "dresses", drawn(3, prefix="new-"))
    remove(store, "dresses", ["item-00001"])

    replica = start()

    assert replica.look() == [(SPACE, 3)]
    segments = replica.catalog.current("dresses", SPACE).segments
    assert segments.find_item("item-00001") is None
    assert segments.find_item("new-item-00001") is not None
