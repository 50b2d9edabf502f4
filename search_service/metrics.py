"""What an SRE asks of a search replica."""

from collections.abc import Iterable
from functools import cache
from time import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from lookalike_kit import calls
from search_service.catalog import Catalog
from search_service.generation import Answers
from search_service.query import Options
from search_service.vitals import Vitals

STAGES = ("filter", "candidates", "rerank")
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
        self._eased = Counter(
            "lookalike_search_eased_total",
            "Calls answered at a lower recall than asked for because too many waited, by the "
            "recall they got.",
            ["index", "recall"],
            registry=registry,
        )
        self._samples_dropped = Counter(
            "lookalike_search_live_recall_dropped_total",
            "Answers chosen as samples of live recall and not measured: busy (beyond the CPU "
            "budget), gone (the generation is served no more) or failed.",
            ["reason"],
            registry=registry,
        )
        # A counter that appears as it is counted up shows no increase.
        for reason in ("busy", "gone", "failed"):
            self._samples_dropped.labels(reason)
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
        self.ready = Gauge(
            "lookalike_search_ready",
            "1 once all indexes that are REQUIRED were served: callers are sent here from then on.",
            registry=registry,
        )
        registry.register(_Generations(catalog))
        # Finding a metric by its labels takes 2 us, four times a call.
        self._queries_of = cache(self._queries.labels)
        self._stages_of = cache(lambda index: [self._stage.labels(index, each) for each in STAGES])

    def answered(self, options: Options, answers: Answers) -> None:
        index = answers.generation.manifest.index
        if options.eased and any(answer.effort_lowered for answer in answers.answers):
            self._eased.labels(index, f"{options.recall:.2f}").inc()
        self._queries_of(index, answers.engine).inc(len(answers.answers))
        exemplar = calls.exemplar()
        for stage, histogram in zip(STAGES, self._stages_of(index), strict=True):
            histogram.observe(getattr(answers.stages, stage) / 1e9, exemplar)

    def follow(self, index: str) -> None:
        """This replica follows the index: a counter that begins at 1 would show no increase."""
        for result in ("promoted", "refused"):
            self.swaps.labels(index, result)

    def sample_dropped(self, reason: str) -> None:
        self._samples_dropped.labels(reason).inc()


class LiveRecallGauges(Collector):
    """The live recall of what is served, read when it is scraped."""

    def __init__(self, catalog: Catalog, vitals: Vitals) -> None:
        self._catalog = catalog
        self._vitals = vitals

    def collect(self) -> Iterable[Metric]:
        recall = GaugeMetricFamily(
            "lookalike_search_live_recall",
            "Mean recall of the generation's sampled answers; absent without samples.",
            labels=["index", "space_id"],
        )
        samples = GaugeMetricFamily(
            "lookalike_search_live_recall_samples",
            "How many of the generation's answers were sampled.",
            labels=["index", "space_id"],
        )
        for index, generations in self._catalog.serving.generations.items():
            for each in generations:
                vital, at = self._vitals.of(each.sha256), [index, each.manifest.space_id]
                samples.add_metric(at, vital.live_recall_samples)
                if vital.live_recall is not None:
                    recall.add_metric(at, vital.live_recall)
        return recall, samples


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
