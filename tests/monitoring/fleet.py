"""A healthy fleet as Prometheus sees it, and what may be wrong with one.

A series is written as promtool does: "7x99" is 7 for 99 minutes more, "0+600x99" grows by 600 a
minute. Time begins at 0, so that a moment two days ago is -172800.
"""

ALWAYS = 100  # minutes, longer than any case
HOUR, DAY = 3600, 86400
SPACE, NEXT = "a" * 8, "b" * 8

EMBEDDERS = ("embedder-0", "embedder-1")
REPLICAS = ("search-0", "search-1", "search-2")
SEARCH_CALLS = 'grpc_service="lookalike.search.v1.SearchService",grpc_method="Search"'
DECODE_WAIT = "lookalike_embedder_decode_wait_seconds"
EMBED_CALLS = 'grpc_service="lookalike.embedder.v1.EmbedderService",grpc_method="Embed"'


def flat(value: float) -> str:
    return f"{value}x{ALWAYS}"


def grows(a_minute: float) -> str:
    return f"0+{a_minute}x{ALWAYS}"


def late(minutes: float) -> str:
    """A moment that long ago, at any time."""
    return f"{-60 * minutes}+60x{ALWAYS}"


def of(tier: str, replica: str, metric: str, labels: str = "") -> str:
    rest = f",{labels}" if labels else ""
    return f'{metric}{{job="lookalike-{tier}",namespace="shop",instance="{replica}"{rest}}}'


def of_index(replica: str, metric: str, labels: str = f'space_id="{SPACE}"') -> str:
    """One replica's series of the one index."""
    own = ",".join(filter(None, ('index="dresses"', labels)))
    return of("search", replica, f"lookalike_search_{metric}", own)


def of_cluster(metric: str, labels: str) -> str:
    return f'{metric}{{namespace="shop",{labels}}}'


def called(tier: str, replica: str, calls: str, failed: float, slow: float) -> dict[str, str]:
    """600 calls a minute: so many fail, so many are slow."""
    name, which, quick = "grpc_server_handling_seconds", calls, "0.1"
    if tier == "embedder":
        name, which, quick = "lookalike_embedder_call_seconds", 'priority="online"', "1.0"
    handled = "grpc_server_handled_total"
    return {
        of(tier, replica, handled, f'{calls},grpc_code="OK"'): grows(600 - failed),
        of(tier, replica, handled, f'{calls},grpc_code="Internal"'): grows(failed),
        of(tier, replica, handled, f'{calls},grpc_code="InvalidArgument"'): grows(60),
        of(tier, replica, f"{name}_count", which): grows(600),
        of(tier, replica, f"{name}_bucket", f'{which},le="{quick}"'): grows(600 - slow),
        of(tier, replica, f"{name}_bucket", f'{which},le="+Inf"'): grows(600),
    }


def waits(tier: str, replica: str, metric: str, labels: str, long: float) -> dict[str, str]:
    """600 waits a minute, so many of them from half a second to one."""
    return {
        of(tier, replica, f"{metric}_bucket", f'{labels}le="{le}"'): grows(count)
        for le, count in (("0.01", 600 - long), ("0.5", 600 - long), ("1.0", 600), ("+Inf", 600))
    }


def _both(tier: str, replica: str) -> dict[str, str]:
    end = of(tier, replica, "lookalike_certificate_end_timestamp_seconds")
    return {
        of(tier, replica, "up"): flat(1),
        of(tier, replica, "process_start_time_seconds"): flat(-9 * DAY),
        of(tier, replica, "lookalike_admission_over_cap_total"): flat(0),
        of(tier, replica, "lookalike_memory_available_bytes"): flat(4e9),
        of(tier, replica, "lookalike_memory_limit_bytes"): flat(8e9),
        end: flat(60 * DAY),
        **waits(tier, replica, "lookalike_admission_wait_seconds", "", 0),
    }


def _embedder(replica: str) -> dict[str, str]:
    queue, trouble = "lookalike_embedder_queue_seconds", "lookalike_embedder_device_trouble_total"
    return {
        **_both("embedder", replica),
        **called("embedder", replica, EMBED_CALLS, 0, 0),
        **waits("embedder", replica, queue, 'priority="online",', 0),
        **waits("embedder", replica, DECODE_WAIT, 'priority="online",', 0),
        **waits("embedder", replica, queue, 'priority="bulk",', 600),
        **{of("embedder", replica, trouble, f'kind="{kind}"'): flat(0) for kind in TROUBLES},
        of("embedder", replica, "lookalike_embedder_info", f'space_id="{SPACE}"'): flat(1),
        of("embedder", replica, "lookalike_embedder_golden_cosine"): flat(0.99995),
        of("embedder", replica, "lookalike_embedder_decoder_deaths_total"): flat(0),
    }


def _search(replica: str) -> dict[str, str]:
    return {
        **_both("search", replica),
        **called("search", replica, SEARCH_CALLS, 0, 0),
        of("search", replica, "lookalike_search_ready"): flat(1),
        of_index(replica, "generation"): flat(7),
        of_index(replica, "current_generation"): flat(7),
        of_index(replica, "newest_generation", ""): flat(7),
        of_index(replica, "generation_age_seconds"): flat(20 * HOUR),
        of_index(replica, "mapped_bytes"): flat(1e9),
        of_index(replica, "live_recall"): flat(0.99),
        of_index(replica, "live_recall_samples"): flat(1000),
        of("search", replica, "lookalike_search_cache_free_bytes"): flat(3e9),
        of("search", replica, "lookalike_search_store_read_timestamp_seconds"): grows(60),
    }


TROUBLES = ("out_of_memory", "error", "lost", "stuck")
NIGHTLY = 'cronjob="index-nightly"'
VOLUME = 'persistentvolumeclaim="store"'
CLUSTER = {
    of_cluster("kube_cronjob_status_active", NIGHTLY): flat(0),
    of_cluster("kube_cronjob_status_last_schedule_time", NIGHTLY): flat(-9 * HOUR),
    of_cluster("kube_cronjob_status_last_successful_time", NIGHTLY): flat(-8 * HOUR),
    of_cluster("kubelet_volume_stats_available_bytes", VOLUME): flat(10e9),
    of_cluster("kubelet_volume_stats_capacity_bytes", VOLUME): flat(20e9),
}
HEALTHY = CLUSTER | {
    series: values
    for each in (*map(_embedder, EMBEDDERS), *map(_search, REPLICAS))
    for series, values in each.items()
}


def everywhere(tier: str, metric: str, values: str, labels: str = "") -> dict[str, str | None]:
    replicas = EMBEDDERS if tier == "embedder" else REPLICAS
    return {of(tier, replica, metric, labels): values for replica in replicas}


def in_index(
    metric: str, values: str | None, labels: str = f'space_id="{SPACE}"'
) -> dict[str, str | None]:
    return {of_index(replica, metric, labels): values for replica in REPLICAS}


def served(tier: str, failed: float = 0, slow: float = 0) -> dict[str, str | None]:
    replicas, calls = (EMBEDDERS, EMBED_CALLS) if tier == "embedder" else (REPLICAS, SEARCH_CALLS)
    return {
        series: values
        for replica in replicas
        for series, values in called(tier, replica, calls, failed, slow).items()
    }


def lost(tier: str, replicas: tuple[str, ...]) -> dict[str, str | None]:
    """All that these said is gone, but that they do not answer."""
    gone = {name: None for name in HEALTHY for each in replicas if f'instance="{each}"' in name}
    return gone | {of(tier, each, "up"): flat(0) for each in replicas}
