"""Blobs brought by a process of their own."""

import json
import subprocess
import sys

import pytest

from search_service.build import publish
from search_service.cache import Cache
from search_service.manifest import blob_key


@pytest.fixture
def published(store, builds):
    return publish(store, "dresses", builds[0])


@pytest.fixture
def fetch(store, tmp_path):
    def run(published):
        blobs = published.manifest.blobs().values()
        named = [f"{blob.sha256}:{blob.bytes}" for blob in blobs]
        folders = [store.root, tmp_path / "cache"]
        command = [sys.executable, "-m", "search_service.fetch", "1", *folders, *named]
        return subprocess.run(command, check=False, capture_output=True, text=True)

    return run


def test_all_that_was_named_is_there_and_whole(published, fetch, tmp_path):
    assert fetch(published).returncode == 0

    assert Cache(tmp_path / "cache").missing_bytes(published.manifest) == 0


def test_what_is_damaged_or_missing_in_the_store_is_said(store, published, fetch):
    path = store.root / blob_key(published.manifest.base.blobs["vectors"].sha256)
    whole = path.read_bytes()
    said = []
    for content in (whole[:-1] + b"x", None):
        path.unlink()
        if content is not None:
            path.write_bytes(content)
        child = fetch(published)
        assert child.returncode == 1
        said.append(json.loads(child.stdout))

    assert [(each["reason"], each["passing"]) for each in said] == [
        ("hash_mismatch", False),
        ("blob_missing", True),
    ]
    assert "expected" in said[0]["message"]


def test_nothing_is_left_of_a_blob_that_was_not_whole(store, published, fetch, tmp_path):
    sha256 = published.manifest.base.blobs["vectors"].sha256
    (store.root / blob_key(sha256)).write_bytes(b"x")

    fetch(published)

    assert not [path for path in (tmp_path / "cache/blobs").iterdir() if sha256 in path.name]
