"""`python -m search_service`: real processes over a real store, from their start to their end."""

import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pyarrow as pa
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from lookalike.search.v1 import admin_pb2, admin_pb2_grpc, search_pb2, search_pb2_grpc
from lookalike.v1.embedding_pb2 import Embedding
from lookalike_cli import processes
from lookalike_cli.processes import NotServing, Running
from lookalike_cli.scrape import scrape, total

from search_service.build import BuildOptions, Source, build, publish, roll_back
from search_service.manifest import blob_key, current_key
from search_service.store import Store

SPACE = "a" * 64
OTHER_SPACE = "b" * 64
SERVICE = "lookalike.search.v1.SearchService"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def vectors_of(seed: int) -> Any:
    vectors = np.random.default_rng(seed).normal(size=(90, 32)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Two generations of one space and one of another: 90 photos of 30 items each."""
    folder = tmp_path_factory.mktemp("builds")
    photos = pa.table(
        {
            "photo_id": [f"p{i:02d}" for i in range(90)],
            "item_id": [f"i{i // 3:02d}" for i in range(90)],
        }
    )
    options = BuildOptions(engine="annoy", widths=(0,), trees=10, golden_queries=30, threads=1)
    for seed, space_id in ((0, SPACE), (1, SPACE), (2, OTHER_SPACE)):
        build(Source(vectors_of(seed), photos, space_id), folder / str(seed), options)
    return folder / "0", folder / "1", folder / "2"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    (tmp_path / "store").mkdir()
    return Store(tmp_path / "store")


@dataclass
class Replica:
    """A running process and everything one may ask of it."""

    running: Running
    channel: grpc.Channel
    admin: grpc.Channel

    def search(self, vector: Any, k: int = 10, space_id: str = SPACE, **options: Any) -> Any:
        asked = search_pb2.SearchRequest(
            index="dresses",
            query=search_pb2.Query(embedding=Embedding(values=vector.tobytes(), space_id=space_id)),
            options=search_pb2.SearchOptions(k=k, **options),
        )
        return search_pb2_grpc.SearchServiceStub(self.channel).Search(asked, timeout=20)

    def similar(self, item_id: str) -> Any:
        query = search_pb2.Query(item_id=item_id)
        asked = search_pb2.SearchRequest(index="dresses", query=query)
        return search_pb2_grpc.SearchServiceStub(self.channel).Search(asked, timeout=20)

    def refresh(self) -> Any:
        stub = admin_pb2_grpc.IndexAdminServiceStub(self.admin)
        return stub.Refresh(admin_pb2.RefreshRequest(), timeout=60).status

    def status(self) -> Any:
        stub = admin_pb2_grpc.IndexAdminServiceStub(self.admin)
        return stub.GetStatus(admin_pb2.GetStatusRequest(), timeout=20)

    def served(self) -> list[tuple[str, int, bool]]:
        found = self.refresh().loaded
        return [(each.space_id, each.generation, each.is_current) for each in found]

    def metrics(self) -> str:
        with urllib.request.urlopen(f"http://{self.running.metrics_address}/metrics") as answer:
            return str(answer.read().decode())


def health(admin_address: str, service: str = SERVICE) -> int:
    with grpc.insecure_channel(admin_address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        asked = health_pb2.HealthCheckRequest(service=service)
        return int(stub.Check(asked, timeout=20, wait_for_ready=True).status)


@pytest.fixture
def start(store: Store, tmp_path: Path) -> Iterator[Any]:
    """start(poll_seconds=…): a replica over the store, with the one cache; killed at the end."""
    replicas: list[Replica] = []

    def start(**settings: Any) -> Replica:
        usual = {"poll_seconds": 600, "drain_seconds": 0, "log": tmp_path / "log"}
        running = processes.search(store.root, tmp_path / "cache", **{**usual, **settings})
        replicas.append(
            Replica(
                running,
                grpc.insecure_channel(running.address),
                grpc.insecure_channel(running.admin_address),
            )
        )
        return replicas[-1]

    yield start
    for replica in replicas:
        replica.channel.close()
        replica.admin.close()
        if replica.running.exit_code is None:
            replica.running.kill()


def right(answer: Any, vector: Any, seeds: dict[int, int], k: int) -> bool:
    """Whether it is what the generation that it names has to say, and nothing else."""
    vectors = vectors_of(seeds[answer.answered.generation])
    far = np.linalg.norm(vectors - vector, axis=1).reshape(30, 3).min(axis=1)
    order = np.argsort(far, kind="stable")[:k]
    distances = [hit.photos[0].distance for hit in answer.hits]
    items = [hit.item_id for hit in answer.hits]
    return items == [f"i{i:02d}" for i in order] and np.allclose(distances, far[order], atol=1e-4)


def test_while_generations_are_swapped_every_call_is_answered_by_one_of_them(start, store, builds):
    publish(store, "dresses", builds[0])
    replica = start(poll_seconds=0.05)
    seeds = {1: 0, 2: 1, 3: 0}
    queries = vectors_of(7)
    stop, answers, failures = threading.Event(), [], []

    def ask(first: int) -> None:
        i = first
        while not stop.is_set():
            try:
                vector = queries[i % 90]
                answer = replica.search(vector, accuracy=search_pb2.ACCURACY_EXACT)
                answers.append((vector, answer))
            except grpc.RpcError as error:
                failures.append(error)
            i += 1

    with ThreadPoolExecutor(2) as pool:
        for first in (0, 45):
            pool.submit(ask, first)
        try:
            for generation in (2, 3):
                publish(store, "dresses", builds[seeds[generation]])
                while replica.search(queries[0]).answered.generation != generation:
                    time.sleep(0.01)
        finally:
            stop.set()

    assert failures == []
    assert {answer.answered.generation for _, answer in answers} == {1, 2, 3}
    assert len(answers) > 200
    assert all(right(answer, vector, seeds, 10) for vector, answer in answers)

    roll_back(store, "dresses")
    assert replica.served() == [(SPACE, 2, True)]


def test_one_replica_from_its_start_to_its_end(start, store, builds):
    publish(store, "dresses", builds[0])
    publish(store, "dresses", builds[2])
    replica = start()

    # Two spaces, each by its own vectors; items by the first.
    vector = vectors_of(0)[5]
    assert replica.search(vector).answered.generation == 1
    assert replica.search(vector, space_id=OTHER_SPACE).answered.generation == 2
    assert replica.similar("i07").answered.space_id == SPACE
    assert health(replica.running.admin_address) == SERVING
    assert health(replica.running.admin_address, "") == SERVING
    assert replica.status().ready

    # A flipped byte is refused by name, counted, and tried again when the store is mended.
    bad = publish(store, "dresses", builds[1])
    path = store.root / blob_key(bad.manifest.base.blobs["vectors"].sha256)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert replica.served() == [(SPACE, 1, False), (OTHER_SPACE, 2, True)]
    (refused,) = replica.status().refused
    assert (refused.index, refused.generation, refused.reason) == ("dresses", 3, "hash_mismatch")
    assert refused.manifest_sha256 == bad.sha256
    assert "expected" in refused.message
    counted = 'lookalike_search_refusals_total{index="dresses",reason="hash_mismatch"} 1.0'
    assert counted in replica.metrics()
    assert 'lookalike_search_generation{index="dresses",space_id="aaaa' in replica.metrics()
    path.write_bytes(whole)
    assert replica.served() == [(SPACE, 3, True), (OTHER_SPACE, 2, True)]

    # Killed, its store's CURRENT and blobs gone: it serves what it served.
    replica.running.kill()
    store.put(current_key("dresses"), b"garbage")
    path.unlink()
    again = start()
    assert again.served() == [(SPACE, 3, False), (OTHER_SPACE, 2, False)]
    assert again.search(vector).answered.generation == 3
    assert [each.reason for each in again.status().refused] == ["bad_current"]

    # No second process on its cache; and it ends in order.
    with pytest.raises(NotServing, match="exit code 2") as error:
        start()
    assert "LOOKALIKE_SEARCH_CACHE: expected a writable folder of this replica's own" in str(
        error.value
    )
    assert again.running.terminate() == 0
    assert '"event": "stopped"' in again.running.last_words()


def test_a_replica_says_its_live_recall_and_what_is_in_memory(start, store, builds):
    mapped = publish(store, "dresses", builds[0]).manifest.mapped_bytes
    replica = start(live_recall_every=1, live_recall_cpu_share=1, max_mapped_bytes=mapped)
    labels = f'{{index="dresses",space_id="{SPACE}"}}'
    assert f"lookalike_search_live_recall_samples{labels} 0.0" in replica.metrics()
    assert f"lookalike_search_live_recall{labels}" not in replica.metrics()
    assert f"lookalike_search_resident_bytes{labels} {float(mapped)}" in replica.metrics()

    for vector in vectors_of(7)[:3]:
        replica.search(vector, k=3)
    end = time.monotonic() + 20
    while (loaded := replica.status().loaded[0]).live_recall_samples < 3:
        assert time.monotonic() < end
        time.sleep(0.01)

    assert (loaded.queries, loaded.internal_errors) == (3, 0)
    assert 0.5 < loaded.live_recall <= 1.0
    assert f"lookalike_search_live_recall{labels} {loaded.live_recall}" in replica.metrics()

    # No room for a second generation beside it.
    publish(store, "dresses", builds[1])
    assert replica.served() == [(SPACE, 1, False)]
    assert [each.reason for each in replica.status().refused] == ["over_budget"]


def test_a_current_that_is_garbage_and_an_empty_cache_leave_the_index_unavailable(start, store):
    store.put(current_key("dresses"), b"garbage")
    replica = start()

    with pytest.raises(grpc.RpcError) as error:
        replica.search(vectors_of(0)[0])

    assert error.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "dresses is published, but not loaded here yet" in error.value.details()
    assert health(replica.running.admin_address) == SERVING
    assert [each.reason for each in replica.status().refused] == ["bad_current"]


def free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def test_a_replica_that_has_served_starts_again_although_its_store_is_gone(start, store, builds):
    publish(store, "dresses", builds[0])
    start(required="dresses").running.kill()
    store.root.rename(store.root.with_name("away"))

    replica = start(required="dresses")

    assert replica.search(vectors_of(0)[0]).answered.generation == 1
    assert total(scrape(replica.running.metrics_address), "lookalike_search_store_errors_total") > 0


def test_a_required_index_gates_readiness_and_a_low_priority_stops_nothing(store, builds, tmp_path):
    admin, metrics = free_address(), free_address()
    settings = {
        "STORE": store.root,
        "CACHE": tmp_path / "cache",
        "ADDRESS": "127.0.0.1:0",
        "ADMIN_ADDRESS": admin,
        "METRICS_ADDRESS": metrics,
        "REQUIRED": "dresses",
        "POLL_SECONDS": "0.05",
    }
    named = {f"LOOKALIKE_SEARCH_{name}": str(value) for name, value in settings.items()}
    command = ["nice", "-n", "19", sys.executable, "-m", "search_service"]
    with subprocess.Popen(command, env={**os.environ, **named}, stderr=subprocess.PIPE) as process:
        try:
            assert health(admin) == NOT_SERVING
            assert total(scrape(metrics), "lookalike_search_ready") == 0
            publish(store, "dresses", builds[0])
            while b'"event": "serving"' not in process.stderr.readline():
                assert process.poll() is None
            assert health(admin) == SERVING
            assert total(scrape(metrics), "lookalike_search_ready") == 1
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"POL_SECONDS": "1", "POLL_SECONDS": "soon"},
            [
                "POL_SECONDS: unknown setting, did you mean LOOKALIKE_SEARCH_POLL_SECONDS?",
                "POLL_SECONDS: expected a number from 0.05 to 3600, got 'soon'",
            ],
        ),
        (
            {"STORE": "/no/such", "CACHE": "/no/such", "INDEXES": "a,B", "REQUIRED": "c"},
            [
                "STORE: expected a folder, got '/no/such'",
                "CACHE: expected another folder than the store, got the same",
                "INDEXES: expected names of indexes, got ['B']",
                "REQUIRED: expected some of INDEXES, got ['c']",
            ],
        ),
        (
            {"CACHE": "/dev/null/x"},
            ["CACHE: expected a writable folder of this replica's own, got"],
        ),
    ],
)
def test_mistakes_in_the_settings_stop_the_start_and_are_all_said(store, tmp_path, settings, said):
    given = {"STORE": str(store.root), "CACHE": str(tmp_path / "cache"), **settings}
    named = {f"LOOKALIKE_SEARCH_{name}": value for name, value in given.items()}

    process = subprocess.run(
        [sys.executable, "-m", "search_service"],
        env={**os.environ, **named},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert process.returncode == 2
    assert process.stderr.startswith("search_service cannot start: ")
    lines = process.stderr.removeprefix("search_service cannot start: ").splitlines()
    assert len(lines) == len(said)
    for line, expected in zip(lines, said, strict=True):
        assert line.startswith(f"LOOKALIKE_SEARCH_{expected}")


def test_the_search_tier_imports_no_torch_and_no_image_library():
    code = (
        "import sys, search_service.wiring, search_service.build, search_service.check\n"
        "print(sorted({'torch', 'torchvision', 'PIL'} & set(sys.modules)))"
    )
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert child.stdout == "[]\n"
