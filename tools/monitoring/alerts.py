"""Every alert. A new one needs a page in docs/runbooks and a case in tests/monitoring/cases.py."""

from tools.monitoring.alert import FAST, SLOW, Alert
from tools.monitoring.burning import burning
from tools.monitoring.clock import DAY, HOUR, MINUTE, Clock
from tools.monitoring.recording import (
    DECODE_WAIT,
    EMBED_WAIT,
    MAPPED,
    RECALL,
    RECALL_SAMPLES,
    SEARCH_WAIT,
)
from tools.monitoring.slo import ALL, EMBEDDER, EMBEDDERS, SEARCH

# Asked of a cluster's kube-state-metrics and kubelets; without them they never fire.
OF_CLUSTER = {"source": "cluster"}
# One night missed, and half a day to mend it.
STALE_SECONDS = 36 * HOUR
HOLD_SECONDS = 2 * DAY
PIN_SECONDS = 1 * DAY
# A poll takes a second; a generation that is taken in meanwhile, minutes.
UNREAD_SECONDS = 15 * MINUTE
# Below the default recall of 0.99 by more than a publish allows (docs/publishing.md).
LOW_RECALL, ENOUGH_SAMPLES = 0.97, 200
# Half of what the objective allows a search; a quarter of the client's deadline for an embedding.
LONG_SEARCH_WAIT_SECONDS, LONG_EMBED_WAIT_SECONDS = 0.05, 0.5
DOUBTED_COSINE = 0.999
# A file that ends decoders ends two: with others, and alone.
MANY_DEATHS = 12
LITTLE_MEMORY = 0.1
LITTLE_DISK = 0.1
EXPIRES_SOON_SECONDS, EXPIRES_NOW_SECONDS = 14 * DAY, 3 * DAY


def alerts(clock: Clock) -> list[Alert]:
    """In the order in which one would want to read them."""
    return [
        *burning(),
        *_scraped(),
        *_published(clock),
        *_fleet(clock),
        *_quality(),
        *_load(clock),
        *_device(clock),
        *_room(clock),
    ]


def _scraped() -> list[Alert]:
    return [
        *(
            Alert(
                name="NothingScraped",
                severity=FAST,
                means="Prometheus reaches no replica of a tier: it is down, or nobody is watching",
                says=f"No replica of {tier} answered a scrape for 5 minutes.",
                expr=f"absent(up{{{selector}}} == 1)",
                for_seconds=5 * MINUTE,
                labels={"tier": tier},
            )
            for tier, selector in (("embedder", EMBEDDER), ("search", SEARCH))
        ),
        Alert(
            name="NothingServed",
            severity=FAST,
            means="search replicas run and none is ready: none serves all that is required of it, "
            "and callers find nobody",
            says="None has served all that LOOKALIKE_SEARCH_REQUIRED names for 5 minutes.",
            expr="max by (namespace) (lookalike_search_ready) == 0",
            for_seconds=5 * MINUTE,
        ),
        Alert(
            name="ReplicaDown",
            severity=SLOW,
            means="one replica does not answer scrapes, and others of its tier do: it does not "
            "start, or ends again and again",
            says="{{ $labels.job }}: {{ $labels.instance }} did not answer for 15 minutes.",
            expr=f"up{{{ALL}}} == 0 and on (namespace, job) sum by (namespace, job) (up{{{ALL}}})"
            " > 0",
            for_seconds=15 * MINUTE,
        ),
    ]


def _published(clock: Clock) -> list[Alert]:
    by = "namespace, index"
    newest = f"max by ({by}) (lookalike_search_newest_generation)"
    current = f"max by ({by}) (lookalike_search_current_generation)"
    cron = '{cronjob="index-nightly"}'
    failed = "a publish did not get through: a generation newer than CURRENT's is not served and "
    failed += "no hold says why, or the nightly Job failed"
    return [
        Alert(
            name="IndexStale",
            severity=SLOW,
            means="the youngest generation of an index was built more than 36 hours ago",
            says="{{ $labels.index }} is {{ $value | humanizeDuration }} old.",
            expr=f"min by ({by}) (lookalike_search_generation_age_seconds)"
            f" > {clock.number(STALE_SECONDS)}",
            for_seconds=5 * MINUTE,
        ),
        Alert(
            name="PublishFailed",
            severity=SLOW,
            means=failed,
            says="{{ $labels.index }}: generation {{ $value }} is in the store and not served.",
            expr=f"{newest} > {current}"
            f" unless on ({by}) max by ({by}) (lookalike_search_hold_timestamp_seconds)",
            for_seconds=30 * MINUTE,
        ),
        Alert(
            name="PublishFailed",
            severity=SLOW,
            means=failed,
            says="{{ $labels.cronjob }} has ended, and its last success is older than its start.",
            expr=f"(kube_cronjob_status_last_schedule_time{cron}"
            f" and kube_cronjob_status_active{cron} == 0)"
            f" unless kube_cronjob_status_last_successful_time{cron}"
            f" >= kube_cronjob_status_last_schedule_time{cron}",
            for_seconds=10 * MINUTE,
            labels=OF_CLUSTER,
        ),
        Alert(
            name="GenerationRefused",
            severity=SLOW,
            means="CURRENT names a generation that a replica refuses; the one before goes on "
            "serving",
            says="{{ $value }} replicas refuse {{ $labels.index }}: {{ $labels.reason }}.",
            expr="count by (namespace, index, reason) (lookalike_search_refused) > 0",
            for_seconds=2 * MINUTE,
        ),
        Alert(
            name="StoreUnread",
            severity=SLOW,
            means="a replica has not read its store for 15 minutes: it is gone or hangs; what was "
            "served is served on, and nothing new comes",
            says="{{ $labels.instance }}: not for {{ $value | humanizeDuration }}.",
            expr="time() - lookalike_search_store_read_timestamp_seconds"
            f" > {clock.number(UNREAD_SECONDS)}",
        ),
    ]


def _fleet(clock: Clock) -> list[Alert]:
    by = "namespace, index, space_id"
    free = (
        "(lookalike_search_generation unless on (namespace, instance, index, space_id)"
        " lookalike_search_pin_timestamp_seconds)"
    )
    return [
        Alert(
            name="FleetSplit",
            severity=SLOW,
            means="replicas have served different generations of an index for 15 minutes, pins "
            "aside, or some serve none of it",
            says="{{ $labels.index }}, space {{ $labels.space_id }}: replicas differ.",
            expr=f"max by ({by}) {free} != min by ({by}) {free}"
            f" or (count by ({by}) (lookalike_search_generation) < on (namespace) group_left ()"
            f" count by (namespace) (up{{{SEARCH}}} == 1)"
            f" unless on ({by}) max by ({by}) (lookalike_search_pin_timestamp_seconds))",
            for_seconds=15 * MINUTE,
        ),
        Alert(
            name="SpacesMismatched",
            severity=FAST,
            means="the embedder's vectors are of a space that no index serves: searches by image "
            "are refused",
            says="{{ $value }} embedders make vectors of space {{ $labels.space_id }}.",
            expr=f"count by (namespace, space_id) (lookalike_embedder_info{{{EMBEDDER}}})"
            " unless on (namespace, space_id)"
            " count by (namespace, space_id) (lookalike_search_generation)"
            " and on (namespace) count by (namespace) (lookalike_search_generation)",
            for_seconds=5 * MINUTE,
        ),
        Alert(
            name="HoldTooLong",
            severity=SLOW,
            means="an index has been on hold for more than 2 days",
            says="{{ $labels.index }} has been on hold for {{ $value | humanizeDuration }}.",
            expr="time() - min by (namespace, index) (lookalike_search_hold_timestamp_seconds)"
            f" > {clock.number(HOLD_SECONDS)}",
        ),
        Alert(
            name="PinTooLong",
            severity=SLOW,
            means="a replica has been pinned to a generation for more than a day",
            says="{{ $labels.instance }}: {{ $labels.index }} for {{ $value | humanizeDuration }}.",
            expr=f"time() - lookalike_search_pin_timestamp_seconds > {clock.number(PIN_SECONDS)}",
        ),
    ]


def _quality() -> list[Alert]:
    return [
        Alert(
            name="LiveRecallLow",
            severity=SLOW,
            means=f"the sampled recall of an index is below {LOW_RECALL}, over at least "
            f"{ENOUGH_SAMPLES} samples",
            says="{{ $labels.index }}: {{ $value | humanize }} in space {{ $labels.space_id }}.",
            expr=f"{RECALL} < {LOW_RECALL} and {RECALL_SAMPLES} >= {ENOUGH_SAMPLES}",
            for_seconds=5 * MINUTE,
        ),
        Alert(
            name="CanaryDrift",
            severity=SLOW,
            means="an embedder's vectors of the golden photos differ from the model's: a cosine "
            f"below {DOUBTED_COSINE} when it started",
            says="{{ $labels.instance }}: {{ $value }}.",
            expr=f"lookalike_embedder_golden_cosine{{{EMBEDDERS}}} < {DOUBTED_COSINE}",
        ),
    ]


def _load(clock: Clock) -> list[Alert]:
    return [
        Alert(
            name="QueueWait",
            severity=SLOW,
            means="one call in ten waits long for its turn: on the device, to be decoded, or for a "
            "thread",
            says=f"One in ten waits at least {{{{ $value | humanizeDuration }}}} for a {queue}.",
            expr=f"{wait} > {most * clock.patience:g}",
            for_seconds=10 * MINUTE,
            labels={"tier": tier, "queue": queue},
        )
        for tier, queue, wait, most in (
            ("embedder", "device", EMBED_WAIT, LONG_EMBED_WAIT_SECONDS),
            ("embedder", "decoder", DECODE_WAIT, LONG_EMBED_WAIT_SECONDS),
            ("search", "thread", SEARCH_WAIT, LONG_SEARCH_WAIT_SECONDS),
        )
    ]


def _device(clock: Clock) -> list[Alert]:
    lately = clock.span(30 * MINUTE)
    trouble = f'lookalike_embedder_device_trouble_total{{{EMBEDDERS},kind=~"error|lost|stuck"}}'
    deaths = f"lookalike_embedder_decoder_deaths_total{{{EMBEDDERS}}}"
    return [
        Alert(
            name="DeviceLost",
            severity=SLOW,
            means="an embedder's passes fail, or its process ended and began anew in its place, as "
            "it does when its device is lost or stuck",
            says="{{ $labels.instance }}: look for device_lost in its log, the one before too.",
            # A lost device ends the process within 2 s: mostly before anybody has scraped that.
            expr=f"increase({trouble}[{clock.span(10 * MINUTE)}]) > 0"
            f" or changes(process_start_time_seconds{{{EMBEDDERS}}}[{lately}]) > 0",
        ),
        Alert(
            name="DecodersDie",
            severity=SLOW,
            means="the processes in which an embedder decodes images end, by files that crash them "
            "or by the kernel, for want of memory",
            says="{{ $labels.instance }}: {{ $value | humanize }} in 30 minutes.",
            expr=f"increase({deaths}[{lately}]) > {MANY_DEATHS}",
        ),
    ]


def _room(clock: Clock) -> list[Alert]:
    disk = "a replica's cache has no room for another generation, or a volume is nearly full"
    memory = "lookalike_memory_available_bytes"
    certificate = f"lookalike_certificate_end_timestamp_seconds{{{ALL}}} - time()"
    volume = '{persistentvolumeclaim=~"store|cache-search-.+"}'
    here = "on (namespace, instance)"
    return [
        Alert(
            name="DiskNearFull",
            severity=SLOW,
            means=disk,
            says="{{ $labels.instance }} has {{ $value | humanize1024 }}B left for its cache.",
            expr=f"lookalike_search_cache_free_bytes < {here} {MAPPED}",
            for_seconds=10 * MINUTE,
        ),
        Alert(
            name="DiskNearFull",
            severity=SLOW,
            means=disk,
            says="{{ $labels.persistentvolumeclaim }}: {{ $value | humanizePercentage }} free.",
            expr=f"kubelet_volume_stats_available_bytes{volume}"
            f" / kubelet_volume_stats_capacity_bytes{volume} < {LITTLE_DISK}",
            for_seconds=10 * MINUTE,
            labels=OF_CLUSTER,
        ),
        Alert(
            name="MemoryNearFull",
            severity=SLOW,
            means="a replica has less than a tenth of its memory left, or too little to map "
            "another generation",
            says="{{ $labels.instance }} has {{ $value | humanize1024 }}B left.",
            expr=f"{memory}{{{ALL}}} < {LITTLE_MEMORY} * lookalike_memory_limit_bytes{{{ALL}}}"
            f" or {memory}{{{ALL}}} < {here} {MAPPED}",
            for_seconds=10 * MINUTE,
        ),
        *(
            Alert(
                name="CertificateExpiring",
                severity=severity,
                means="a server's certificate, or an authority of its clients, ends in less than "
                "14 days; a page below 3",
                says="{{ $labels.instance }}: it ends in {{ $value | humanizeDuration }}.",
                expr=f"{certificate} < {clock.number(seconds)}",
            )
            for severity, seconds in ((SLOW, EXPIRES_SOON_SECONDS), (FAST, EXPIRES_NOW_SECONDS))
        ),
    ]
