"""A small fleet of both tiers, and the troubles that the runbooks are for."""

import io
import itertools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import numpy as np
import pyarrow as pa
from lookalike.search.v1 import admin_pb2, admin_pb2_grpc, search_pb2, search_pb2_grpc
from lookalike_cli import processes
from lookalike_cli.processes import Running
from lookalike_client import Client, LookalikeError
from PIL import Image

from search_service.build import (
    BuildOptions,
    Source,
    build,
    held_by,
    hold,
    publish,
    release,
    roll_back,
)
from search_service.manifest import blob_key
from search_service.store import Store

SPACE, OTHER_SPACE, DIMENSION, ITEMS = "5" * 64, "a" * 64, 512, 120
OPTIONS = BuildOptions(engine="annoy", widths=(0,), trees=10, golden_queries=40, threads=1)
TWO_SPACES = (SPACE, OTHER_SPACE)


@dataclass
class Fleet:
    """search-0 follows the store at once; search-1 when it is told to, and takes a call at a time.

    waiting: it runs and serves nothing. shown: whom the pages' names stand for.
    ids: of requests that the logs have lines of, by the names that the pages give them.
    """

    store: Store
    builds: dict[str, Path]
    embedder: Running
    search: Sequence[Running]
    waiting: Running
    shown: Sequence[Running]
    ids: dict[str, str] = field(default_factory=dict)

    def logs(self, component: str = "") -> str:
        """As `kubectl logs --prefix` has them, of one tier or of both."""
        named = zip(
            ("embedder-0", "search-0", "search-1"), (self.embedder, *self.search), strict=True
        )
        return "".join(
            f"[pod/{pod}/{pod[:-2]}] {line}\n"
            for pod, running in named
            if pod.startswith(component)
            for line in running.log.read_text().splitlines()
        )

    def admin(self, number: int) -> admin_pb2_grpc.IndexAdminServiceStub:
        channel = grpc.insecure_channel(self.search[number].admin_address)
        return admin_pb2_grpc.IndexAdminServiceStub(channel)

    def refresh(self, number: int = 1) -> None:
        self.admin(number).Refresh(admin_pb2.RefreshRequest(), timeout=60)

    def until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < end
            time.sleep(0.02)

    def serves(self, number: int, generation: int) -> bool:
        """Whether a replica serves this generation and no other."""
        status = self.admin(number).GetStatus(admin_pb2.GetStatusRequest(), timeout=20)
        return [each.generation for each in status.loaded] == [generation]

    def settle(self) -> None:
        """Both replicas serve what CURRENT names."""
        self.refresh(0)
        self.refresh(1)


@contextmanager
def running_fleet(folder: Path) -> Iterator[Fleet]:
    builds = {space: folder / space[:1] for space in TWO_SPACES}
    for space, out in builds.items():
        build(_source(space), out, OPTIONS)
    store = Store(folder / "store")
    store.root.mkdir()
    for _ in range(2):
        publish(store, "dresses", builds[SPACE])
    stand_in = {"model": 200, "log_calls_every": 1, "drain_seconds": 0}
    usual = {
        "required": ["dresses"],
        "log_calls_every": 1,
        "live_recall_every": 0,  # a sample is taken by chance
        "drain_seconds": 0,
    }
    alone = {"threads": 1, "max_waiting": 0, "poll_seconds": 3600}
    with (
        processes.start(
            "benchmarks.embedder_stand_in", "LOOKALIKE_EMBEDDER_", stand_in, folder / "e.log"
        ) as embedder,
        processes.search(
            store.root, folder / "c0", log=folder / "s0.log", poll_seconds=0.05, **usual
        ) as first,
        processes.search(store.root, folder / "c1", log=folder / "s1.log", **usual, **alone) as two,
        _waiting(folder / "waiting") as waiting,
    ):
        replicas = (first, two)
        fleet = Fleet(store, builds, embedder, replicas, waiting, shown=replicas)
        _call(fleet)
        yield fleet


def calm(fleet: Fleet) -> None:
    """Nothing is wrong with it now; its logs know of calls that were refused."""


def nothing_served(fleet: Fleet) -> None:
    """The one replica sees an empty store."""
    fleet.shown = (fleet.waiting,)
    channel = grpc.insecure_channel(fleet.waiting.admin_address)
    admin_pb2_grpc.IndexAdminServiceStub(channel).GetStatus(
        admin_pb2.GetStatusRequest(), timeout=60, wait_for_ready=True
    )


def held(fleet: Fleet) -> None:
    hold(fleet.store, "dresses", "generation 12 lost the shoes")
    fleet.settle()


def pinned(fleet: Fleet) -> None:
    manifest = min(fleet.store.names("indexes/dresses/generations"))
    number, sha256 = manifest.removesuffix(".json").split("-")
    fleet.admin(0).Pin(
        admin_pb2.PinRequest(
            index="dresses",
            space_id=SPACE,
            generation=int(number),
            manifest_sha256=sha256,
            reason="to compare with 2",
        ),
        timeout=60,
    )


def unserved(fleet: Fleet) -> None:
    """A generation in the store that CURRENT does not name."""
    publish(fleet.store, "dresses", fleet.builds[SPACE], serve=False)
    fleet.settle()


def split(fleet: Fleet) -> None:
    """search-1 does not look."""
    published = publish(fleet.store, "dresses", fleet.builds[SPACE])
    fleet.until(lambda: fleet.serves(0, published.manifest.number))


def without_store(fleet: Fleet) -> None:
    """It is gone from where replicas look."""
    fleet.store.root.rename(_away(fleet))
    fleet.settle()


def other_space(fleet: Fleet) -> None:
    """An index of another model, and the embedder of the one before."""
    publish(fleet.store, "dresses", fleet.builds[OTHER_SPACE], only=True)
    fleet.settle()


def damaged(fleet: Fleet) -> None:
    """A generation whose index file is not what its name says."""
    out = fleet.builds[SPACE].with_name("damaged")
    build(_source(SPACE, seed=1), out, OPTIONS)
    published = publish(fleet.store, "dresses", out, serve=False)
    blob = published.manifest.base.blobs["vectors"]
    path = fleet.store.root / blob_key(blob.sha256)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.chmod(0o600)
    path.write_bytes(bytes(content))
    roll_back(fleet.store, "dresses", to=published.manifest.number)
    fleet.refresh(0)


def as_before(fleet: Fleet) -> None:
    """Two generations, the second served by both replicas, and no hold."""
    fleet.shown = fleet.search
    if _away(fleet).exists():
        _away(fleet).rename(fleet.store.root)
    if held_by(fleet.store, "dresses"):
        release(fleet.store, "dresses")
    roll_back(fleet.store, "dresses", to=2)
    fleet.settle()
    folder = fleet.store.root / "indexes" / "dresses" / "generations"
    for manifest in folder.glob("*.json"):
        if int(manifest.name.partition("-")[0]) > 2:
            manifest.unlink()
    fleet.settle()


@contextmanager
def _waiting(folder: Path) -> Iterator[Running]:
    """A replica over an empty store, on the usual ports of a loopback address of this process."""
    (folder / "store").mkdir(parents=True)
    host = f"127.{os.getpid() // 256 % 256}.{os.getpid() % 256}.2"
    addresses = [f"{host}:{port}" for port in (50061, 50062, 9161)]
    settings = {
        "STORE": folder / "store",
        "CACHE": folder / "cache",
        "REQUIRED": "dresses",
        **dict(zip(("ADDRESS", "ADMIN_ADDRESS", "METRICS_ADDRESS"), addresses, strict=True)),
    }
    given = {f"LOOKALIKE_SEARCH_{name}": str(value) for name, value in settings.items()}
    log = folder / "log"
    with (
        log.open("wb") as lines,
        subprocess.Popen(
            [sys.executable, "-m", "search_service"], env={**os.environ, **given}, stderr=lines
        ) as process,
    ):
        try:
            yield Running("search_service", process, log, *addresses)
        finally:
            process.kill()


def _away(fleet: Fleet) -> Path:
    return fleet.store.root.with_name("away")


def _source(space: str, seed: int = 0) -> Source:
    vectors = np.random.default_rng(seed).normal(size=(ITEMS, DIMENSION)).astype(np.float32)
    names = [f"d-{number:03d}" for number in range(ITEMS)]
    return Source(vectors, pa.table({"photo_id": names, "item_id": names}), space)


def _call(fleet: Fleet) -> None:
    """One question that was answered, and one of each tier that was refused."""
    ids = ("9f3c2a17", "5b1d77aa", "c41e0f02")
    fleet.ids = dict(zip(ids, ids, strict=True))
    photo = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").save(photo, "JPEG")
    addresses = {"embedder": fleet.embedder.address, "search": fleet.search[0].address}
    with Client(**addresses, deadline_seconds=60) as client:
        client.similar("dresses", photo.getvalue(), k=5, request_id="9f3c2a17")
        with suppress(LookalikeError):  # refused as often as gRPC tries
            client.embed([photo.getvalue()], deadline_seconds=0.1, request_id="c41e0f02")
    fleet.ids["5b1d77aa"] = _refused_for_load(fleet.search[1].address)


def _refused_for_load(address: str) -> str:
    """Keeps the one thread busy until another call is refused; that call's id."""
    query = search_pb2.Query(item_id="d-001")
    options = search_pb2.SearchOptions(k=30, accuracy=search_pb2.ACCURACY_EXACT)
    long = search_pb2.SearchBatchRequest(index="dresses", queries=[query] * 256, options=options)
    short = search_pb2.SearchRequest(index="dresses", query=query)
    done = threading.Event()

    def occupy() -> None:
        with grpc.insecure_channel(address) as channel:
            stub = search_pb2_grpc.SearchServiceStub(channel)
            while not done.is_set():
                try:
                    stub.SearchBatch(long, timeout=60)
                except grpc.RpcError:  # the other call was there first
                    time.sleep(0.05)

    busy = threading.Thread(target=occupy)
    busy.start()
    try:
        with grpc.insecure_channel(address) as channel:
            stub = search_pb2_grpc.SearchServiceStub(channel)
            for number in itertools.count():
                request_id = f"burst-{number}"
                try:
                    stub.Search(short, timeout=60, metadata=(("x-request-id", request_id),))
                except grpc.RpcError:
                    return request_id
    finally:
        done.set()
        busy.join()
    raise AssertionError("it was never refused")
