"""The order of an upgrade, as docs/upgrading.md has it: kept, and not kept."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pyarrow as pa
import pytest
from lookalike.search.v1 import admin_pb2, admin_pb2_grpc
from lookalike.v1.embedding_pb2 import Embedding
from lookalike_cli import processes
from lookalike_cli.processes import Running
from lookalike_client import Client, LookalikeError

from search_service.build import BuildOptions, Source, build, publish, roll_back
from search_service.build.publish import Published
from search_service.manifest import (
    PREVIOUS_SCHEMA,
    SCHEMA,
    FormatError,
    current_key,
    digest,
    encode,
    manifest_key,
)
from search_service.store import Store

OLD_MODEL, NEW_MODEL = "a" * 64, "b" * 64


def vector(space_id: str, row: int = 0) -> Any:
    drawn = np.random.default_rng(int(space_id[0], 16)).normal(size=(60, 16)).astype(np.float32)
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True))[row]


def embedding(space_id: str) -> Embedding:
    return Embedding(values=vector(space_id).tobytes(), space_id=space_id)


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What a build makes of the same photos, by the model that embedded them."""
    folder = tmp_path_factory.mktemp("builds")
    ids = {
        "photo_id": [f"p{i:02d}" for i in range(60)],
        "item_id": [f"i{i:02d}" for i in range(60)],
    }
    options = BuildOptions(engine="annoy", widths=(0,), trees=5, golden_queries=20, threads=1)
    for space_id in (OLD_MODEL, NEW_MODEL):
        vectors = np.stack([vector(space_id, row) for row in range(60)])
        build(Source(vectors, pa.table(ids), space_id), folder / space_id, options)
    return {space_id: folder / space_id for space_id in (OLD_MODEL, NEW_MODEL)}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """One for all tests, an index each."""
    return Store(tmp_path_factory.mktemp("store"))


@dataclass(frozen=True)
class Replica:
    running: Running
    client: Client
    admin: Any

    def served(self, index: str) -> list[tuple[str, int]]:
        """What it serves after another look at CURRENT."""
        status = self.admin.Refresh(admin_pb2.RefreshRequest(), timeout=60).status
        return [(each.space_id, each.generation) for each in status.loaded if each.index == index]

    def refused(self, index: str) -> list[tuple[str, str]]:
        status = self.admin.GetStatus(admin_pb2.GetStatusRequest(), timeout=20)
        return [(each.reason, each.message) for each in status.refused if each.index == index]

    def finds(self, index: str, space_id: str) -> str:
        """The item of a photo that the model of a space embedded."""
        return self.client.search(index, embedding(space_id), k=1).hits[0].item_id


@pytest.fixture(scope="module")
def replica(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    """Today's search service; it looks when it is told to."""
    cache = tmp_path_factory.mktemp("cache")
    with (
        processes.search(store.root, cache, log=cache / "log", poll_seconds=600) as running,
        Client(search=running.address, deadline_seconds=20) as client,
        grpc.insecure_channel(running.admin_address) as channel,
    ):
        yield Replica(running, client, admin_pb2_grpc.IndexAdminServiceStub(channel))


def rewrite(store: Store, published: Published, change: Any) -> None:
    """The published manifest and CURRENT, as a version of another schema writes them."""
    manifest = json.loads(encode(published.manifest))
    change(manifest)
    data = json.dumps(manifest).encode()
    index, number = published.manifest.index, published.manifest.number
    store.put(manifest_key(index, number, digest(data)), data)
    entry = {
        "space_id": published.manifest.space_id,
        "generation": number,
        "manifest_sha256": digest(data),
    }
    current = {"schema": manifest["schema"], "serving": [entry]}
    store.put(current_key(index), json.dumps(current).encode())


def as_before(manifest: dict[str, Any]) -> None:
    """Schema 1: one segment, its golden queries beside it, nothing dead."""
    [segment] = manifest["segments"]
    blob = segment["blobs"].pop("golden")
    manifest |= {"schema": PREVIOUS_SCHEMA, "golden": {**segment.pop("golden"), "blob": blob}}
    del manifest["dead"]


def as_next(manifest: dict[str, Any]) -> None:
    manifest["schema"] = SCHEMA + 1


def test_todays_readers_serve_what_the_version_before_published(replica, store, builds):
    rewrite(store, publish(store, "before", builds[OLD_MODEL]), as_before)

    assert replica.served("before") == [(OLD_MODEL, 1)]
    assert replica.finds("before", OLD_MODEL) == "i00"

    publish(store, "before", builds[OLD_MODEL])
    assert replica.served("before") == [(OLD_MODEL, 2)]
    roll_back(store, "before")
    assert replica.served("before") == [(OLD_MODEL, 1)]


def test_a_builder_that_goes_before_the_readers_changes_nothing_of_what_they_serve(
    replica, store, builds
):
    publish(store, "early", builds[OLD_MODEL])
    assert replica.served("early") == [(OLD_MODEL, 1)]
    rewrite(store, publish(store, "early", builds[OLD_MODEL]), as_next)

    assert replica.served("early") == [(OLD_MODEL, 1)]
    [(reason, message)] = replica.refused("early")
    assert reason == "bad_current"
    assert f"of schema {PREVIOUS_SCHEMA} or {SCHEMA}, got {SCHEMA + 1}" in message

    assert replica.finds("early", OLD_MODEL) == "i00"


def test_a_builder_that_was_taken_back_does_not_write_over_a_newer_current(store, builds):
    first = publish(store, "back", builds[OLD_MODEL])
    rewrite(store, publish(store, "back", builds[OLD_MODEL]), as_next)

    with pytest.raises(FormatError, match=f"got {SCHEMA + 1}"):
        publish(store, "back", builds[OLD_MODEL])
    with pytest.raises(FormatError, match=f"got {SCHEMA + 1}"):
        roll_back(store, "back")

    assert roll_back(store, "back", to=first.manifest.number).number == 1
    assert publish(store, "back", builds[OLD_MODEL]).is_current


def test_an_embedder_that_goes_before_its_index_is_refused_by_name(replica, store, builds):
    publish(store, "embedder", builds[OLD_MODEL])
    replica.served("embedder")

    with pytest.raises(LookalikeError) as refused:
        replica.finds("embedder", NEW_MODEL)
    assert refused.value.reason == "SPACE_NOT_SERVED"
    assert not refused.value.retryable
    assert {OLD_MODEL, NEW_MODEL} <= set(refused.value.metadata.values())

    publish(store, "embedder", builds[NEW_MODEL])
    assert replica.served("embedder") == [(OLD_MODEL, 1), (NEW_MODEL, 2)]
    assert replica.finds("embedder", OLD_MODEL) == replica.finds("embedder", NEW_MODEL) == "i00"

    publish(store, "embedder", builds[NEW_MODEL], only=True)
    assert replica.served("embedder") == [(NEW_MODEL, 3)]
    with pytest.raises(LookalikeError) as refused:
        replica.finds("embedder", OLD_MODEL)
    assert refused.value.reason == "SPACE_NOT_SERVED"

    # What is gone back to takes the first place: callers of the new model are refused from here on.
    roll_back(store, "embedder", to=1)
    assert replica.served("embedder") == [(OLD_MODEL, 1)]
