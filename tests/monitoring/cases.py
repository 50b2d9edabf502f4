"""Fleets as Prometheus sees them, and the alerts that fire for each: promtool judges them."""

from dataclasses import dataclass, field

from tests.monitoring.fleet import (
    ALWAYS,
    DAY,
    DECODE_WAIT,
    EMBEDDERS,
    HEALTHY,
    HOUR,
    NEXT,
    NIGHTLY,
    REPLICAS,
    SEARCH_CALLS,
    SPACE,
    VOLUME,
    everywhere,
    flat,
    grows,
    in_index,
    late,
    lost,
    of,
    of_cluster,
    of_index,
    served,
    waits,
)


@dataclass(frozen=True)
class Case:
    """changes: of the healthy fleet's series; None: gone. fires: alert and severity.

    near: the alert that all but fires.
    """

    name: str
    changes: dict[str, str | None]
    fires: set[tuple[str, str]] = field(default_factory=set)
    near: str | None = None
    minutes: int = 20

    @property
    def series(self) -> dict[str, str]:
        changed = HEALTHY | self.changes
        return {name: values for name, values in changed.items() if values is not None}


FIRST = "search-0"
MAPPED = of_index(FIRST, "mapped_bytes")
FREE = of("search", FIRST, "lookalike_search_cache_free_bytes")
MEMORY = of("search", FIRST, "lookalike_memory_available_bytes")
CERTIFICATE = "lookalike_certificate_end_timestamp_seconds"
PIN = of_index(FIRST, "pin_timestamp_seconds")
READ = of("search", FIRST, "lookalike_search_store_read_timestamp_seconds")
DEATHS = of("embedder", "embedder-0", "lookalike_embedder_decoder_deaths_total")
BOTH = ("page", "ticket")


def burns(alert: str, *severities: str) -> set[tuple[str, str]]:
    return {(alert, severity) for severity in severities}


def tickets(*alerts: str) -> set[tuple[str, str]]:
    return {(alert, "ticket") for alert in alerts}


CASES = (
    Case("all is well", {}, minutes=60),
    # Of 600 calls a minute 0.6 may fail, 6 may be slow.
    *(
        case
        for tier, errors, latency in (
            ("search", "SearchErrorBudgetBurn", "SearchLatencyBudgetBurn"),
            ("embedder", "EmbedErrorBudgetBurn", "EmbedLatencyBudgetBurn"),
        )
        for case in (
            Case(f"{tier}: 2 % fail", served(tier, failed=12), burns(errors, *BOTH)),
            Case(f"{tier}: 0.4 % fail", served(tier, failed=2.4), burns(errors, "ticket")),
            Case(f"{tier}: 0.09 % fail", served(tier, failed=0.54), near=errors),
            Case(f"{tier}: 20 % slow", served(tier, slow=120), burns(latency, *BOTH)),
            Case(f"{tier}: 4 % slow", served(tier, slow=24), burns(latency, "ticket")),
            Case(f"{tier}: 0.9 % slow", served(tier, slow=5.4), near=latency),
        )
    ),
    Case(
        "failures that ended half an hour ago are no page",
        served("search")
        | {
            of(
                "search", each, "grpc_server_handled_total", f'{SEARCH_CALLS},grpc_code="Internal"'
            ): f"0+20x10 200x{ALWAYS}"
            for each in REPLICAS
        },
        burns("SearchErrorBudgetBurn", "ticket"),
        near="SearchErrorBudgetBurn",
        minutes=50,
    ),
    Case(
        "a caller over its cap burns no budget",
        {
            **everywhere(
                "search",
                "grpc_server_handled_total",
                grows(100),
                f'{SEARCH_CALLS},grpc_code="ResourceExhausted"',
            ),
            **everywhere("search", "lookalike_admission_over_cap_total", grows(100)),
        },
        near="SearchErrorBudgetBurn",
    ),
    Case("no embedder answers", lost("embedder", EMBEDDERS), {("NothingScraped", "page")}),
    Case(
        "no search is known",
        {name: None for name in HEALTHY if "search" in name},
        {("NothingScraped", "page")},
    ),
    Case(
        "search replicas that come back without anything to serve",
        {name: None for name in HEALTHY if "lookalike_search_" in name}
        | everywhere("search", "lookalike_search_ready", flat(0)),
        {("NothingServed", "page")},
    ),
    Case(
        "one search replica is ready",
        {of("search", each, "lookalike_search_ready"): flat(0) for each in REPLICAS[1:]},
        near="NothingServed",
    ),
    Case(
        "one embedder does not answer",
        lost("embedder", EMBEDDERS[:1]),
        tickets("ReplicaDown"),
        near="NothingScraped",
    ),
    Case(
        "one embedder starts for ten minutes",
        {of("embedder", "embedder-1", "up"): f"0x9 1x{ALWAYS}"},
        near="ReplicaDown",
    ),
    Case(
        "37 hours old", in_index("generation_age_seconds", flat(37 * HOUR)), tickets("IndexStale")
    ),
    Case("35 hours old", in_index("generation_age_seconds", flat(35 * HOUR)), near="IndexStale"),
    Case(
        "an old space beside a fresh one",
        in_index("generation_age_seconds", flat(99 * HOUR), f'space_id="{NEXT}"'),
        near="IndexStale",
    ),
    Case(
        "a generation that nobody serves",
        in_index("newest_generation", flat(8), ""),
        tickets("PublishFailed"),
        minutes=36,
    ),
    Case(
        "a publish that takes 20 minutes",
        in_index("newest_generation", f"7x5 8x{ALWAYS}", "")
        | in_index("current_generation", f"7x25 8x{ALWAYS}")
        | in_index("generation", f"7x25 8x{ALWAYS}"),
        near="PublishFailed",
        minutes=60,
    ),
    Case(
        "a publish on hold",
        in_index("newest_generation", flat(8), "")
        | in_index("hold_timestamp_seconds", flat(-HOUR), ""),
        near="PublishFailed",
        minutes=36,
    ),
    Case(
        "the nightly Job failed",
        {of_cluster("kube_cronjob_status_last_successful_time", NIGHTLY): flat(-30 * HOUR)},
        tickets("PublishFailed"),
    ),
    Case(
        "the nightly Job never succeeded",
        {of_cluster("kube_cronjob_status_last_successful_time", NIGHTLY): None},
        tickets("PublishFailed"),
    ),
    Case(
        "the nightly Job runs",
        {
            of_cluster("kube_cronjob_status_active", NIGHTLY): flat(1),
            of_cluster("kube_cronjob_status_last_schedule_time", NIGHTLY): flat(-HOUR),
        },
        near="PublishFailed",
    ),
    Case(
        "one replica refuses",
        {of_index(FIRST, "refused", 'reason="bad_structure"'): flat(1)},
        tickets("GenerationRefused"),
    ),
    Case(
        "one replica refuses for a minute",
        {of_index(FIRST, "refused", 'reason="no_disk"'): "_x9 1x1 stale"},
        near="GenerationRefused",
    ),
    Case(
        "one replica stays behind", {of_index(FIRST, "generation"): flat(6)}, tickets("FleetSplit")
    ),
    Case(
        "one replica serves nothing", {of_index(FIRST, "generation"): None}, tickets("FleetSplit")
    ),
    Case(
        "one replica is pinned",
        {of_index(FIRST, "generation"): flat(6), PIN: flat(-HOUR)},
        near="FleetSplit",
    ),
    Case(
        "one replica is ten minutes late",
        in_index("current_generation", f"7x5 8x{ALWAYS}")
        | in_index("newest_generation", f"7x5 8x{ALWAYS}", "")
        | in_index("generation", f"7x5 8x{ALWAYS}")
        | {of_index(FIRST, "generation"): f"7x15 8x{ALWAYS}"},
        near="FleetSplit",
    ),
    Case(
        "an embedder of another space",
        {
            of("embedder", "embedder-1", "lookalike_embedder_info", f'space_id="{SPACE}"'): None,
            of("embedder", "embedder-1", "lookalike_embedder_info", f'space_id="{NEXT}"'): flat(1),
        },
        {("SpacesMismatched", "page")},
    ),
    Case(
        "the next model's embedder beside",
        {
            of("embedder-next", "next-0", "lookalike_embedder_info", f'space_id="{NEXT}"'): flat(1),
            of("embedder-next", "next-0", "up"): flat(1),
        },
        near="SpacesMismatched",
    ),
    Case(
        "on hold for 50 hours",
        in_index("hold_timestamp_seconds", flat(-50 * HOUR), ""),
        tickets("HoldTooLong"),
    ),
    Case(
        "on hold for 46 hours",
        in_index("hold_timestamp_seconds", flat(-46 * HOUR), ""),
        near="HoldTooLong",
    ),
    Case("a store not read for 17 minutes", {READ: late(17)}, tickets("StoreUnread")),
    Case("a store not read for 14 minutes", {READ: late(14)}, near="StoreUnread"),
    Case("pinned for 25 hours", {PIN: flat(-25 * HOUR)}, tickets("PinTooLong")),
    Case("pinned for 22 hours", {PIN: flat(-22 * HOUR)}, near="PinTooLong"),
    Case("a recall of 0.96", in_index("live_recall", flat(0.96)), tickets("LiveRecallLow")),
    Case("a recall of 0.975", in_index("live_recall", flat(0.975)), near="LiveRecallLow"),
    Case(
        "a recall of 0.5 over 180 samples",
        in_index("live_recall", flat(0.5)) | in_index("live_recall_samples", flat(60)),
        near="LiveRecallLow",
    ),
    Case(
        "a cosine of 0.998",
        {of("embedder", "embedder-0", "lookalike_embedder_golden_cosine"): flat(0.998)},
        tickets("CanaryDrift"),
    ),
    Case(
        "a cosine of 0.9991",
        {of("embedder", "embedder-0", "lookalike_embedder_golden_cosine"): flat(0.9991)},
        near="CanaryDrift",
    ),
    Case(
        "every second image waits",
        {
            series: values
            for each in EMBEDDERS
            for series, values in waits(
                "embedder", each, "lookalike_embedder_queue_seconds", 'priority="online",', 300
            ).items()
        },
        tickets("QueueWait"),
    ),
    Case(
        "every second image waits to be decoded",
        {
            series: values
            for each in EMBEDDERS
            for series, values in waits(
                "embedder", each, DECODE_WAIT, 'priority="online",', 300
            ).items()
        },
        tickets("QueueWait"),
    ),
    Case(
        "every second search waits",
        {
            series: values
            for each in REPLICAS
            for series, values in waits(
                "search", each, "lookalike_admission_wait_seconds", "", 300
            ).items()
        },
        tickets("QueueWait"),
    ),
    Case(
        "one image in twenty waits, and all of bulk",
        {
            series: values
            for each in EMBEDDERS
            for series, values in waits(
                "embedder", each, "lookalike_embedder_queue_seconds", 'priority="online",', 30
            ).items()
        },
        near="QueueWait",
    ),
    Case(
        "a pass failed",
        {
            of(
                "embedder", "embedder-0", "lookalike_embedder_device_trouble_total", 'kind="error"'
            ): f"0x15 1x{ALWAYS}"
        },
        tickets("DeviceLost"),
    ),
    Case(
        "an embedder began anew in its place",
        {of("embedder", "embedder-0", "process_start_time_seconds"): f"-777600x10 660x{ALWAYS}"},
        tickets("DeviceLost"),
    ),
    Case(
        "a batch went on in halves, and search began anew",
        {
            of(
                "embedder",
                "embedder-0",
                "lookalike_embedder_device_trouble_total",
                'kind="out_of_memory"',
            ): f"0x15 1x{ALWAYS}",
            of("search", "search-0", "process_start_time_seconds"): f"-777600x10 660x{ALWAYS}",
        },
        near="DeviceLost",
    ),
    Case("files that end decoders", {DEATHS: f"0x15 14x{ALWAYS}"}, tickets("DecodersDie")),
    Case("a file that is sent five times", {DEATHS: f"0x15 11x{ALWAYS}"}, near="DecodersDie"),
    Case("no room for another generation", {FREE: flat(0.9e9)}, tickets("DiskNearFull")),
    Case("room for another generation", {FREE: flat(1.1e9)}, near="DiskNearFull"),
    Case(
        "the store is 95 % full",
        {of_cluster("kubelet_volume_stats_available_bytes", VOLUME): flat(1e9)},
        tickets("DiskNearFull"),
    ),
    Case(
        "another volume is 95 % full",
        {
            of_cluster(
                "kubelet_volume_stats_available_bytes", 'persistentvolumeclaim="logs"'
            ): flat(1e9),
            of_cluster("kubelet_volume_stats_capacity_bytes", 'persistentvolumeclaim="logs"'): flat(
                20e9
            ),
        },
        near="DiskNearFull",
    ),
    Case(
        "a twentieth of the memory",
        {of("embedder", "embedder-0", "lookalike_memory_available_bytes"): flat(0.4e9)},
        tickets("MemoryNearFull"),
    ),
    Case("no memory for another generation", {MEMORY: flat(0.95e9)}, tickets("MemoryNearFull")),
    Case("a seventh of the memory", {MEMORY: flat(1.15e9)}, near="MemoryNearFull"),
    Case(
        "12 days of a certificate",
        everywhere("search", CERTIFICATE, flat(12 * DAY)),
        tickets("CertificateExpiring"),
    ),
    Case(
        "2 days of a certificate",
        everywhere("search", CERTIFICATE, flat(2 * DAY)),
        burns("CertificateExpiring", *BOTH),
    ),
    Case(
        "15 days of a certificate",
        everywhere("search", CERTIFICATE, flat(15 * DAY)),
        near="CertificateExpiring",
    ),
)
