"""The store: whole files or none, and nothing outside its folder."""

import hashlib
import os
import signal
import subprocess
import sys
import threading

import pytest

from search_service.manifest import Blob, FormatError, blob_key
from search_service.store import Changed, Store, StoreError


@pytest.mark.parametrize(
    "key",
    [
        "",
        ".",
        "..",
        "../x",
        "a/../b",
        "/etc/passwd",
        "a//b",
        "a/",
        "a/.hidden",
        ".lock",
        "a\0b",
        "a\n",
        "a b",
        "ä",
        "a\\b",
    ],
)
def test_a_hostile_key_is_refused(store, key):
    for use in (store.read, store.names, store.delete, store.size, store.age_seconds):
        with pytest.raises(StoreError, match="key: expected"):
            use(key)
    with pytest.raises(StoreError, match="key: expected"):
        store.put(key, b"")


def test_what_was_put_is_read(store):
    store.put("a/b/c", b"1")
    store.put("a/b/c", b"2")

    assert store.read("a/b/c") == b"2"
    assert store.size("a/b/c") == 1
    assert 0 <= store.age_seconds("a/b/c") < 60
    assert store.names("a") == ["b"]
    assert store.leftovers("a/b") == []


def test_what_is_not_there_is_named_or_none(store):
    assert store.read_or_none("a/b") is None
    assert store.names("a") == []
    store.delete("a/b")
    with pytest.raises(FileNotFoundError):
        store.read("a/b")


def test_a_file_where_a_folder_should_be_holds_nothing(store):
    store.put("indexes/notes", b"a stray file")

    assert store.names("indexes/notes") == []
    assert store.read_or_none("indexes/notes/CURRENT") is None
    assert store.leftovers("indexes/notes") == []


def test_a_link_in_place_of_a_file_is_not_followed(store, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    sha256 = hashlib.sha256(b"secret").hexdigest()
    for key in ("indexes/a/CURRENT", blob_key(sha256)):
        path = store.root / key
        path.parent.mkdir(parents=True)
        path.symlink_to(secret)

    with pytest.raises(OSError, match="symbolic links"):
        store.read("indexes/a/CURRENT")
    with pytest.raises(OSError, match="symbolic links"):
        store.fetch(Blob(sha256=sha256, bytes=6), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_writing_over_a_link_replaces_the_link_not_what_it_points_to(store, tmp_path):
    other = tmp_path / "other"
    other.write_bytes(b"theirs")
    (store.root / "a").mkdir(parents=True)
    (store.root / "a/b").symlink_to(other)

    store.put("a/b", b"ours")

    assert store.read("a/b") == b"ours"
    assert other.read_bytes() == b"theirs"


def test_an_operator_may_keep_the_store_or_its_blobs_behind_a_link(tmp_path):
    (tmp_path / "disk/blobs").mkdir(parents=True)
    (tmp_path / "real").mkdir()
    (tmp_path / "real/blobs").symlink_to(tmp_path / "disk/blobs")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "file").write_bytes(b"x")
    store = Store(tmp_path / "link")

    blob = store.put_blob(tmp_path / "file")
    store.fetch(blob, tmp_path / "out")

    assert (tmp_path / "out").read_bytes() == b"x"
    assert (tmp_path / "disk/blobs" / blob.sha256).exists()


def test_a_pipe_in_place_of_a_file_holds_nobody(store):
    (store.root / "a").mkdir(parents=True)
    os.mkfifo(store.root / "a/CURRENT")

    assert store.read("a/CURRENT") == b""


def test_compare_and_swap_refuses_what_is_older(store):
    store.replace("a/CURRENT", b"1", None)
    store.replace("a/CURRENT", b"2", b"1")

    for expected in (None, b"1"):
        with pytest.raises(Changed, match="something newer"):
            store.replace("a/CURRENT", b"3", expected)
    assert store.read("a/CURRENT") == b"2"


def test_of_many_that_swap_at_once_none_is_lost(store):
    def count_up() -> None:
        for _ in range(20):
            while True:
                before = store.read_or_none("a/COUNT")
                try:
                    store.replace("a/COUNT", str(int(before or 0) + 1).encode(), before)
                except Changed:
                    continue
                break

    threads = [threading.Thread(target=count_up) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert store.read("a/COUNT") == b"80"


def test_a_blob_is_named_by_its_content_and_comes_back_verified(store, tmp_path):
    (tmp_path / "file").write_bytes(b"x" * 10_000)
    blob = store.put_blob(tmp_path / "file")

    store.fetch(blob, tmp_path / "out")

    assert blob.sha256 == hashlib.sha256(b"x" * 10_000).hexdigest()
    assert (tmp_path / "out").read_bytes() == b"x" * 10_000


@pytest.mark.parametrize("damage", [b"y" + b"x" * 99, b"x" * 99, b"x" * 101, b""])
def test_a_damaged_blob_never_appears_and_the_next_put_heals_it(store, tmp_path, damage):
    (tmp_path / "file").write_bytes(b"x" * 100)
    blob = store.put_blob(tmp_path / "file")
    (store.root / blob_key(blob.sha256)).write_bytes(damage)

    with pytest.raises(FormatError, match="expected 100 bytes of that SHA-256"):
        store.fetch(blob, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "store"]

    store.put_blob(tmp_path / "file")
    store.fetch(blob, tmp_path / "out")


def test_a_second_writer_waits_or_is_told(store):
    with store.lock("blobs"), pytest.raises(StoreError, match="another writer"):
        store.lock("blobs", wait=False).__enter__()
    with store.lock("blobs", shared=True), store.lock("blobs", shared=True, wait=False):
        pass


def test_a_killed_writer_holds_no_lock(store):
    code = (
        "import sys, time; from pathlib import Path; from search_service.store import Store\n"
        "with Store(Path(sys.argv[1])).lock('blobs'): print('held', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(store.root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        assert writer.stdout.readline() == b"held\n"
        with pytest.raises(StoreError, match="another writer"):
            store.lock("blobs", wait=False).__enter__()
        writer.send_signal(signal.SIGKILL)
        writer.wait()

    with store.lock("blobs", wait=False):
        pass


def test_a_put_that_fails_leaves_nothing_behind(store):
    (store.root / "a/b").mkdir(parents=True)

    with pytest.raises(OSError, match="directory"):
        store.put("a/b", b"x")

    assert store.leftovers("a") == []
