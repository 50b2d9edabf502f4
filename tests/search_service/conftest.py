"""Small catalogues, what is built from them, and a real server over it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pyarrow as pa
import pytest
from google.rpc import error_details_pb2, status_pb2
from lookalike.search.v1 import search_pb2 as pb
from lookalike.search.v1 import search_pb2_grpc as rpc
from prometheus_client import CollectorRegistry

from lookalike_kit.server import Registration, Server, ServerConfig
from search_service.build import BuildOptions, Source, build, publish
from search_service.catalog import Catalog
from search_service.generation import Generation
from search_service.live_recall import LiveRecall
from search_service.metrics import SearchMetrics
from search_service.servicer import SearchServicer
from search_service.store import Store
from search_service.together import Together
from search_service.vitals import Vitals

SPACE = "a" * 64
OTHER_SPACE = "b" * 64
QUICK = BuildOptions(engine="annoy", widths=(16, 0), trees=10, golden_queries=40, threads=1)


def draw(
    items: int,
    photos: int = 3,
    dimension: int = 32,
    *,
    seed: int = 0,
    space_id: str = SPACE,
    prefix: str = "",
) -> Source:
    """Items around a few centres, `photos` each around its item; every kind of attribute."""
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(12, dimension))
    of_items = centres[generator.integers(0, 12, items)] + generator.normal(size=(items, dimension))
    vectors = np.repeat(of_items, photos, axis=0)
    vectors += 0.3 * generator.normal(size=vectors.shape)
    ids = [f"{prefix}item-{i:05d}" for i in range(items)]
    columns = {
        "photo_id": [f"{item}/{photo}" for item in ids for photo in range(photos)],
        "item_id": np.repeat(ids, photos),
        **{name: _repeated(values, photos) for name, values in _attributes(items).items()},
    }
    table = pa.table(columns)
    order = generator.permutation(len(vectors))
    return Source(vectors[order].astype(np.float32), table.take(pa.array(order)), space_id)


def _attributes(items: int) -> dict[str, pa.Array]:
    first = datetime(2026, 1, 1, tzinfo=UTC)
    days = [first + timedelta(days=i % 7, microseconds=i % 2) for i in range(items)]
    return {
        "category": pa.array([None if i % 10 == 9 else f"kind {i % 3}" for i in range(items)]),
        "price": pa.array([i % 5 for i in range(items)], pa.int64()),
        "weight": pa.array([None if i % 4 == 3 else i % 4 / 2 for i in range(items)]),
        "sale": pa.array([i % 2 == 0 for i in range(items)]),
        "added": pa.array(days, pa.timestamp("us", tz="UTC")),
        "tags": pa.array([None if i % 6 == 5 else [f"t{i % 3}", "all"] for i in range(items)]),
    }


def _repeated(values: pa.Array, times: int) -> pa.Array:
    return values.take(pa.array(np.repeat(np.arange(len(values)), times)))


@pytest.fixture(scope="session")
def drawn() -> Callable[..., Source]:
    """drawn(items, photos, dimension, seed=…): a source."""
    return draw


@pytest.fixture(scope="session")
def quick() -> Callable[..., BuildOptions]:
    """quick(engine=…): options of a build that takes a fraction of a second."""
    return lambda **changed: replace(QUICK, **changed)


@pytest.fixture(scope="session")
def forest_source() -> Source:
    """400 items, 1,200 photos, 32 dimensions."""
    return draw(400)


@pytest.fixture(scope="session")
def forest_build(forest_source: Source, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a build of it leaves, with a forest over a projection."""
    out = tmp_path_factory.mktemp("builds") / "forest"
    build(forest_source, out, replace(QUICK, widths=(16,)))
    return out


@pytest.fixture(scope="session")
def builds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Three small builds of one space: 40, 41 and 42 items."""
    folder = tmp_path_factory.mktemp("builds")
    for items in (40, 41, 42):
        build(draw(items, seed=items), folder / f"{items}", QUICK)
    return folder / "40", folder / "41", folder / "42"


@pytest.fixture(scope="session")
def other_build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small build of another space and another dimension."""
    out = tmp_path_factory.mktemp("builds") / "other"
    build(draw(30, dimension=48, space_id=OTHER_SPACE, seed=9), out, QUICK)
    return out


@pytest.fixture
def store(tmp_path: Path) -> Store:
    (tmp_path / "store").mkdir()
    return Store(tmp_path / "store")


def open_build(built: Path, store: Store, index: str = "dresses") -> Generation:
    published = publish(store, index, built)
    return Generation.open(published.manifest, published.sha256, store.root / "blobs")


@pytest.fixture(scope="session")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Generation]:
    """opened(built): the generation, mapped from a store of its own."""

    def opened(built: Path, index: str = "dresses") -> Generation:
        return open_build(built, Store(tmp_path_factory.mktemp("store")), index)

    return opened


@pytest.fixture(scope="session")
def made(
    tmp_path_factory: pytest.TempPathFactory, opened: Callable[..., Generation]
) -> Callable[..., Generation]:
    """made(source, options): built and opened."""

    def made(source: Source, options: BuildOptions = QUICK, index: str = "dresses") -> Generation:
        out = tmp_path_factory.mktemp("builds") / "built"
        build(source, out, options)
        return opened(out, index)

    return made


@dataclass(frozen=True)
class Refused:
    """What a caller learns of a refusal."""

    code: grpc.StatusCode
    reason: str
    message: str
    metadata: dict[str, str]
    fields: list[str]


@dataclass(frozen=True)
class Served:
    """A server over a catalog, in this process, on a real port."""

    address: str
    stub: Any
    registry: CollectorRegistry
    vitals: Vitals

    def refused(self, call: Callable[..., Any], request: Any) -> Refused:
        with pytest.raises(grpc.RpcError) as error:
            call(request, timeout=20)
        return refusal(error.value)


def refusal(error: Any) -> Refused:
    trailers = dict(error.trailing_metadata())
    assert "grpc-status-details-bin" in trailers, error
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in status.details:
        detail.Unpack(info)
        detail.Unpack(bad)
    fields = [violation.field for violation in bad.field_violations]
    return Refused(error.code(), info.reason, error.details(), dict(info.metadata), fields)


def serve(catalog: Catalog, **settings: int) -> Iterator[Served]:
    registry, vitals = CollectorRegistry(), Vitals()
    metrics = SearchMetrics(registry, catalog)
    live_recall = LiveRecall(vitals, metrics, every=0, cpu_share=1.0)
    servicer = SearchServicer(
        catalog, metrics, vitals, live_recall, Together(at_once=2), ease_from=0.5
    )
    name = pb.DESCRIPTOR.services_by_name["SearchService"].full_name
    any_port = "127.0.0.1:0"
    server = Server(
        ServerConfig(
            address=any_port, admin_address=any_port, metrics_address=any_port, **settings
        ),
        "search",
        registry,
        [Registration(name, lambda to: rpc.add_SearchServiceServicer_to_server(servicer, to))],
    )
    addresses = server.start()
    server.set_ready(True)
    with grpc.insecure_channel(addresses.address) as channel:
        yield Served(addresses.address, rpc.SearchServiceStub(channel), registry, vitals)
    server.stop(drain_seconds=0)


@pytest.fixture(scope="module")
def serving() -> Iterator[Callable[..., Served]]:
    """serving(catalog, threads=…): a server that answers from it until the module ends."""
    running: list[Iterator[Served]] = []

    def start(catalog: Catalog, **settings: int) -> Served:
        running.append(serve(catalog, **settings))
        return next(running[-1])

    yield start
    for each in running:
        next(each, None)
