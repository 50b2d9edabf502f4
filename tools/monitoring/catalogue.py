"""Every metric that the services have, as the code has it."""

import math
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lookalike.embedder.v1 import embedder_pb2 as pb
from prometheus_client import CollectorRegistry
from prometheus_client.registry import Collector

from embedder_service.metrics import EmbedderMetrics
from embedder_service.wiring import labels
from lookalike_kit.memory import MemoryGauges
from lookalike_kit.metrics import AdmissionMetrics, ReloadMetrics, RpcMetrics
from search_service.cache import Cache
from search_service.catalog import Catalog
from search_service.following import Following
from search_service.loader import Loader
from search_service.metrics import LiveRecallGauges, SearchMetrics
from search_service.residency import Residency
from search_service.store import Store
from search_service.vitals import Vitals


@dataclass(frozen=True)
class Entry:
    """One metric. kind: counter, gauge or histogram; a histogram has _bucket, _sum and _count."""

    name: str
    kind: str
    labels: tuple[str, ...]
    words: str

    @property
    def series(self) -> tuple[str, ...]:
        """The names to ask for."""
        if self.kind == "histogram":
            return tuple(f"{self.name}_{part}" for part in ("bucket", "sum", "count"))
        return (self.name,)


def of_both() -> list[Entry]:
    """What each tier has of the kit."""
    registry = _Registry()
    RpcMetrics(registry)
    AdmissionMetrics(registry)
    ReloadMetrics(registry).follow_certificate(lambda: math.inf)
    registry.register(MemoryGauges())
    return registry.entries()


def of_the_embedder() -> list[Entry]:
    registry = _Registry()
    metrics = EmbedderMetrics(registry)
    metrics.describe(labels(pb.GetInfoResponse()), 1.0, 0.0)
    metrics.follow_queue(lambda _: 0)
    return registry.entries()


def of_search() -> list[Entry]:
    registry, catalog = _Registry(), Catalog()
    metrics = SearchMetrics(registry, catalog)
    with tempfile.TemporaryDirectory() as folder:
        cache = Cache(Path(folder))
        loader = Loader(
            Store(Path(folder)), cache, catalog, metrics, indexes=(), on_look=lambda _: None
        )
        registry.register(LiveRecallGauges(catalog, Vitals()))
        registry.register(Residency(catalog, cache.folder))
        registry.register(Following(loader, cache))
        return registry.entries()


class _Registry(CollectorRegistry):
    """Remembers what was registered: a registry itself does not tell the names of labels."""

    def __init__(self) -> None:
        super().__init__()
        self._collectors: list[Collector] = []

    def register(self, collector: Collector) -> None:
        self._collectors.append(collector)
        super().register(collector)

    def entries(self) -> list[Entry]:
        return sorted(
            (entry for collector in self._collectors for entry in _entries(collector)),
            key=lambda entry: entry.name,
        )


def _entries(collector: Collector) -> Iterable[Entry]:
    for family in collector.collect():
        names: Iterable[str] = getattr(collector, "_labelnames", ())
        names = names or getattr(family, "_labelnames", ())
        name = f"{family.name}_total" if family.type == "counter" else family.name
        yield Entry(name, family.type, tuple(names), family.documentation)
