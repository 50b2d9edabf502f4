"""How far a replica is from what the store says: holds, pins, refusals, room for what comes."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from search_service.cache import Cache
from search_service.loader import Loader


class Following(Collector):
    """Gauges of what the loader last saw; a scrape itself never touches the store."""

    def __init__(self, loader: Loader, cache: Cache) -> None:
        self._loader = loader
        self._cache = cache
        self._started = datetime.now(UTC)

    def collect(self) -> Iterable[Metric]:
        yield self._store_read()
        yield from self._of_the_store()
        yield self._pins()
        yield self._refused()
        yield from self._room()

    def _store_read(self) -> Metric:
        read = self._loader.store_read or self._started
        return GaugeMetricFamily(
            "lookalike_search_store_read_timestamp_seconds",
            "When the store was read last; before that, when the replica started.",
            read.timestamp(),
        )

    def _of_the_store(self) -> Iterator[Metric]:
        current = _gauge("current_generation", "The number that CURRENT names.", "space_id")
        for index, entry in self._loader.named():
            current.add_metric([index, entry.space_id], entry.generation)
        newest = _gauge("newest_generation", "The highest number in the store, served or not.")
        held = _gauge("hold_timestamp_seconds", "Since when the index is on hold; absent without.")
        for index, shelf in self._loader.shelves.items():
            newest.add_metric([index], shelf.newest)
            if shelf.held_since is not None:
                held.add_metric([index], shelf.held_since.timestamp())
        return iter((current, newest, held))

    def _pins(self) -> Metric:
        words = "Since when a generation is pinned here, whatever CURRENT says; absent without."
        pinned = _gauge("pin_timestamp_seconds", words, "space_id")
        for pin in self._loader.pins:
            pinned.add_metric([pin.index, pin.entry.space_id], pin.since.timestamp())
        return pinned

    def _refused(self) -> Metric:
        words = "1 while CURRENT, or a generation that it names, is refused here."
        refused = _gauge("refused", words, "reason")
        for index, reason in sorted(self._loader.refused_now()):
            refused.add_metric([index, reason], 1)
        return refused

    def _room(self) -> Iterator[Metric]:
        for name, words, read in (
            ("free", "Free on the disk of the cache.", self._cache.free_bytes),
            ("size", "The size of the disk of the cache.", self._cache.size_bytes),
        ):
            yield GaugeMetricFamily(f"lookalike_search_cache_{name}_bytes", words, read())


def _gauge(name: str, words: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"lookalike_search_{name}", words, labels=["index", *labels])
