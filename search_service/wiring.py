"""Cache -> catalog -> loader -> servicers -> server: one search service. Knows everyone."""

import threading
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from lookalike.search.v1 import admin_pb2, admin_pb2_grpc, search_pb2, search_pb2_grpc
from prometheus_client import CollectorRegistry

from lookalike_kit import cpu, logs, memory, traces
from lookalike_kit.config import ConfigError
from lookalike_kit.port import Registration
from lookalike_kit.server import Server
from search_service.admin_servicer import IndexAdminServicer
from search_service.cache import Cache, served_before
from search_service.catalog import Catalog
from search_service.config import PREFIX, SearchConfig
from search_service.following import Following
from search_service.live_recall import LiveRecall
from search_service.loader import Loader
from search_service.manifest import NAME
from search_service.metrics import LiveRecallGauges, SearchMetrics
from search_service.readiness import Readiness
from search_service.residency import Residency
from search_service.servicer import SearchServicer
from search_service.store import Store, StoreError
from search_service.together import Together
from search_service.vitals import Vitals


def serve(config: SearchConfig) -> None:
    """Serves until a signal."""
    logs.configure(config.log_level, "search")
    _check(config)
    cache = _cache(config.cache)
    registry = CollectorRegistry()
    catalog = Catalog()
    metrics = SearchMetrics(registry, catalog)
    vitals = Vitals()
    registry.register(LiveRecallGauges(catalog, vitals))
    registry.register(Residency(catalog, cache.folder))

    def admit() -> None:
        metrics.ready.set(1)
        server.set_ready(True)

    readiness = Readiness(catalog, config.required, admit)
    loader = Loader(
        Store(config.store),
        cache,
        catalog,
        metrics,
        indexes=config.indexes,
        required=config.required,
        on_look=readiness.looked,
        max_mapped_bytes=config.max_mapped_bytes,
        # A replica that answers nobody holds up nobody.
        intake_cpu_share=lambda: config.intake_cpu_share if readiness.answers else 1.0,
        jitter_seconds=config.jitter_seconds,
    )
    registry.register(Following(loader, cache))
    live_recall = LiveRecall(
        vitals,
        metrics,
        every=config.live_recall_every,
        cpu_share=config.live_recall_cpu_share,
    )
    search = SearchServicer(
        catalog, metrics, vitals, live_recall, Together(cpu.cores()), ease_from=config.ease_from
    )
    admin = IndexAdminServicer(loader, vitals, readiness, version=version("lookalike"))
    server = Server(
        config,
        "search",
        registry,
        [_for_callers(search)],
        [_for_operators(admin)],
        traces=traces.start(config, "search"),
    )
    with memory.kept():
        server.start()
        server.catch_signals()
        stopping = threading.Event()
        _start("loader", loader.run, stopping, config.poll_seconds)
        _start("live recall", live_recall.run, stopping)
        server.run_until_signal()
        stopping.set()


def _for_callers(search: SearchServicer) -> Registration:
    return Registration(
        search_pb2.DESCRIPTOR.services_by_name["SearchService"].full_name,
        lambda to: search_pb2_grpc.add_SearchServiceServicer_to_server(search, to),
    )


def _for_operators(admin: IndexAdminServicer) -> Registration:
    return Registration(
        admin_pb2.DESCRIPTOR.services_by_name["IndexAdminService"].full_name,
        lambda to: admin_pb2_grpc.add_IndexAdminServiceServicer_to_server(admin, to),
    )


def _start(name: str, run: Callable[..., None], *arguments: object) -> None:
    threading.Thread(target=run, args=arguments, name=name, daemon=True).start()


def _check(config: SearchConfig) -> None:
    problems = []
    # A replica that has served starts again without its store, on what its cache holds.
    if not config.store.is_dir() and not served_before(config.cache):
        problems.append(f"{PREFIX}STORE: expected a folder, got {str(config.store)!r}")
    if (config.cache / "blobs").resolve() == (config.store / "blobs").resolve():
        problems.append(f"{PREFIX}CACHE: expected another folder than the store, got the same")
    for setting, names in (("INDEXES", config.indexes), ("REQUIRED", config.required)):
        if strange := [name for name in names if not NAME.fullmatch(name)]:
            problems.append(f"{PREFIX}{setting}: expected names of indexes, got {strange}")
    if config.indexes and (left := sorted(set(config.required) - set(config.indexes))):
        problems.append(f"{PREFIX}REQUIRED: expected some of INDEXES, got {left}")
    if problems:
        raise ConfigError(*problems)


def _cache(root: Path) -> Cache:
    try:
        cache = Cache(root)
        cache.claim()
    except (OSError, StoreError) as error:
        raise ConfigError(
            f"{PREFIX}CACHE: expected a writable folder of this replica's own, got {error}"
        ) from None
    return cache
