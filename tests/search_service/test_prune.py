"""Nothing that a reader could still come to is removed."""

import os
import threading

import pytest

from search_service.build import hold, prune, publish, release, roll_back
from search_service.build.publish import generation_names
from search_service.manifest import FormatError, current_key


@pytest.fixture
def published(store, builds):
    """Generations 1 to 6, from three builds."""
    return [publish(store, "dresses", builds[i // 2]) for i in range(6)]


def left(store):
    return [number for number, _ in generation_names(store, "dresses")]


def test_the_newest_stay_and_their_blobs(store, published):
    done = prune(store, keep=2, grace_seconds=0)

    assert left(store) == [5, 6]
    assert set(store.names("blobs")) == set(published[5].manifest.blobs())
    assert len(done.manifests) == 4
    assert done.bytes > 0
    assert prune(store, keep=2, grace_seconds=0).manifests == ()


@pytest.mark.parametrize("keep", [0, 1])
def test_what_current_names_and_its_parent_stay_however_old(store, published, keep):
    roll_back(store, "dresses", to=3)

    prune(store, keep=keep, grace_seconds=0)

    assert left(store) == [2, 3, 6][: 3 if keep else 2]
    for each in (published[1], published[2]):
        assert set(each.manifest.blobs()) <= set(store.names("blobs"))


def test_a_dry_run_says_the_same_and_removes_nothing(store, published):
    before = store.names("blobs")

    said = prune(store, keep=1, grace_seconds=0, dry_run=True)

    assert left(store) == [1, 2, 3, 4, 5, 6]
    assert store.names("blobs") == before
    assert prune(store, keep=1, grace_seconds=0) == said


def test_what_is_younger_than_the_grace_stays(store, published):
    assert prune(store, keep=1, grace_seconds=3600).manifests == ()

    old = next((store.root / "indexes/dresses/generations").glob("00000001-*"))
    os.utime(old, (0, 0))
    done = prune(store, keep=1, grace_seconds=3600)
    assert left(store) == [2, 3, 4, 5, 6]
    assert done.blobs == ()


def test_an_index_on_hold_keeps_everything(store, published, builds):
    hold(store, "dresses", "looking into it")
    publish(store, "shoes", builds[0])

    assert prune(store, keep=1, grace_seconds=0).manifests == ()
    release(store, "dresses")
    assert len(prune(store, keep=1, grace_seconds=0).manifests) == 4


def test_a_blob_that_two_indexes_share_stays_as_long_as_one_needs_it(store, published, builds):
    other = publish(store, "shoes", builds[0])

    prune(store, keep=1, grace_seconds=0)

    assert set(other.manifest.blobs()) <= set(store.names("blobs"))


def test_nothing_is_removed_while_a_publish_is_under_way(store, published, builds):
    inside, go_on = threading.Event(), threading.Event()

    def wait_inside() -> None:
        with store.lock("blobs", shared=True):
            inside.set()
            go_on.wait(20)

    thread = threading.Thread(target=wait_inside)
    thread.start()
    inside.wait(20)
    with pytest.raises(Exception, match="blobs: another writer is at work"):
        prune(store, keep=1, grace_seconds=0)
    go_on.set()
    thread.join()
    assert left(store) == [1, 2, 3, 4, 5, 6]


def test_a_current_that_cannot_be_read_stops_it(store, published):
    store.put(current_key("dresses"), b"garbage")

    with pytest.raises(FormatError):
        prune(store, keep=1, grace_seconds=0)
    assert left(store) == [1, 2, 3, 4, 5, 6]


def test_what_dead_writers_left_goes_and_what_is_not_ours_stays(store, published):
    (store.root / "blobs/notes.txt").write_text("mine")
    (store.root / "indexes/README").write_text("mine")
    temporary = [
        store.root / "blobs/.blob.1.2.tmp",
        store.root / "indexes/dresses/.CURRENT.1.2.tmp",
        store.root / "indexes/dresses/generations/.x.1.2.tmp",
    ]
    for path in temporary:
        path.write_bytes(b"half")
    change = store.root / ".change.x.tmp"
    change.mkdir()
    (change / "vectors").write_bytes(b"half")

    prune(store, keep=1, grace_seconds=0)

    assert not any(path.exists() for path in (*temporary, change))
    assert (store.root / "blobs/notes.txt").exists()
    assert (store.root / "indexes/README").exists()


def test_an_empty_store_has_nothing_to_remove(store):
    assert prune(store, keep=1, grace_seconds=0).blobs == ()
