"""A replica's own copies: whole, verified, and its own."""

import pytest

from search_service.build import publish
from search_service.cache import Cache
from search_service.manifest import SCHEMA, Current, Entry, FormatError, blob_key, encode
from search_service.store import StoreError


@pytest.fixture
def published(store, builds):
    return publish(store, "dresses", builds[0])


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache")


def fetch(cache, store, manifest):
    for blob in cache.unverified(manifest):
        cache.bring(store, blob)


def test_what_was_fetched_is_not_fetched_again(store, cache, published):
    manifest = published.manifest
    assert cache.missing_bytes(manifest) == sum(b.bytes for b in manifest.blobs().values())

    fetch(cache, store, manifest)
    for blob in manifest.blobs().values():
        store.delete(blob_key(blob.sha256))
    fetch(cache, store, manifest)

    assert cache.missing_bytes(manifest) == 0


def test_a_new_process_verifies_what_it_finds_and_fetches_what_is_damaged(store, cache, published):
    fetch(cache, store, published.manifest)
    damaged = cache.folder / published.manifest.base.blobs["vectors"].sha256
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:-1] + b"x")

    fetch(Cache(cache.folder.parent), store, published.manifest)

    assert damaged.read_bytes() == whole


def test_damage_in_the_store_never_reaches_the_cache(store, cache, published):
    sha256 = published.manifest.base.blobs["photos"].sha256
    (store.root / blob_key(sha256)).write_bytes(b"x")

    with pytest.raises(FormatError, match="expected"):
        fetch(cache, store, published.manifest)

    assert not (cache.folder / sha256).exists()


def test_two_processes_never_share_a_cache(tmp_path):
    Cache(tmp_path / "cache").claim()
    first = Cache(tmp_path / "one")
    first.claim()

    with pytest.raises(StoreError, match="another writer"):
        Cache(tmp_path / "one").claim()


def test_a_sweep_removes_blobs_that_nothing_names_and_no_other_file(
    store, cache, published, builds
):
    later = publish(store, "dresses", builds[1])
    for each in (published, later):
        fetch(cache, store, each.manifest)
        cache.keep_manifest(each.sha256, encode(each.manifest))
    (cache.folder / "notes.txt").write_text("mine")
    left_by_the_dead = [
        cache.folder / ".blob.1.2.tmp",
        cache.folder.parent / ".pins.1.2.tmp",
        cache.folder.parent / "manifests/.x.1.2.tmp",
    ]
    for path in left_by_the_dead:
        path.write_text("half")

    cache.sweep([later.sha256])

    assert not any(path.exists() for path in left_by_the_dead)
    assert cache.manifest(later.sha256) is not None
    assert cache.manifest(published.sha256) is None
    left = {path.name for path in cache.folder.iterdir()} - {".lock"}
    assert left == {*later.manifest.blobs(), "notes.txt"}


def test_a_refused_manifest_outlives_its_blobs_to_name_its_parent(store, cache, published, builds):
    later = publish(store, "dresses", builds[1])
    for each in (published, later):
        fetch(cache, store, each.manifest)
        cache.keep_manifest(each.sha256, encode(each.manifest))

    cache.sweep([published.sha256], [later.sha256])

    assert cache.manifest(later.sha256) is not None
    assert cache.missing_bytes(published.manifest) == 0
    assert cache.missing_bytes(later.manifest) > 0


def test_what_was_served_last_comes_back_and_a_damaged_note_of_it_is_none(cache):
    current = Current(
        schema=SCHEMA,
        serving=(Entry(space_id="a" * 64, generation=1, manifest_sha256="b" * 64),),
    )
    cache.keep_served("dresses", current)
    assert cache.last_served("dresses") == current
    assert cache.indexes() == ["dresses"]
    assert cache.last_served("shoes") is None

    (cache.folder.parent / "current/dresses").write_bytes(b"\xff")
    assert cache.last_served("dresses") is None
