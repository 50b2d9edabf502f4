"""What an SRE asks of a search replica."""

from collections.abc import Iterable
from time import time

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from search_service.catalog import Catalog
from search_service.generation import Answers

_STAGE_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5)


class SearchMetrics:
    """Where the time of queries goes, and what became of generations."""

    def __init__(self, registry: CollectorRegistry, catalog: Catalog) -> None:
        self._stage = Histogram(
            "lookalike_search_stage_seconds",
            "Time of a call by stage: filter, candidates, rerank.",
            ["index", "stage"],
            buckets=_STAGE_SECONDS,
            registry=registry,
        )
        self._queries = Counter(
            "lookalike_search_queries_total",
            "Queries answered, by index and engine; a batch counts each of its queries.",
            ["index", "engine"],
            registry=registry,
        )
        self.swaps = Counter(
            "lookalike_search_swaps_total",
            "Generations that CURRENT named, by what became of them here: promoted or refused.",
            ["index", "result"],
            registry=registry,
        )
        self.refusals = Counter(
            "lookalike_search_refusals_total",
            "Generations refused, by index and reason.",
            ["index", "reason"],
            registry=registry,
        )
        self.load_seconds = Histogram(
            "lookalike_search_load_seconds",
            "Time from seeing a generation to serving it.",
            ["index"],
            buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300),
            registry=registry,
        )
        self.store_errors = Counter(
            "lookalike_search_store_errors_total",
            "Polls that could not read the store.",
            registry=registry,
        )
        registry.register(_Generations(catalog))

    def answered(self, answers: Answers) -> None:
        index = answers.generation.manifest.index
        self._queries.labels(index, answers.engine).inc(len(answers.answers))
        for stage in ("filter", "candidates", "rerank"):
            self._stage.labels(index, stage).observe(getattr(answers.stages, stage) / 1e9)


class _Generations(Collector):
    """Gauges read off the catalog when they are scraped, so that they cannot be out of date."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def collect(self) -> Iterable[Metric]:
        labels = ["index", "space_id"]
        gauges = {
            "generation": GaugeMetricFamily(
                "lookalike_search_generation", "The generation's number.", labels=labels
            ),
            "age": GaugeMetricFamily(
                "lookalike_search_generation_age_seconds",
                "Time since the generation was built.",
                labels=labels,
            ),
            "photos": GaugeMetricFamily(
                "lookalike_search_photos", "Photos in the generation.", labels=labels
            ),
            "items": GaugeMetricFamily(
                "lookalike_search_items", "Items in the generation.", labels=labels
            ),
            "bytes": GaugeMetricFamily(
                "lookalike_search_mapped_bytes", "Bytes of its mapped files.", labels=labels
            ),
        }
        for index, generations in self._catalog.serving.generations.items():
            for each in generations:
                at = [index, each.manifest.space_id]
                gauges["generation"].add_metric(at, each.manifest.number)
                gauges["age"].add_metric(at, time() - each.manifest.created_at.timestamp())
                gauges["photos"].add_metric(at, each.manifest.photos)
                gauges["items"].add_metric(at, each.manifest.items)
                gauges["bytes"].add_metric(at, each.manifest.mapped_bytes)
        return gauges.values()
