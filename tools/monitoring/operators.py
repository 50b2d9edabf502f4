"""For those who run it: what each replica does, holds, waits for and refuses."""

from tools.monitoring.panel import (
    Dashboard,
    Panel,
    Query,
    Row,
    Unit,
    mean,
    quantile,
    rate,
    replicas,
    where,
)
from tools.monitoring.recording import (
    DECODE_WAIT,
    EMBED_WAIT,
    MAPPED,
    RECALL,
    RECALL_SAMPLES,
    SEARCH_WAIT,
)
from tools.monitoring.slo import ALL, EMBEDDERS

_REPLICA = "{{instance}}"


def operators() -> Dashboard:
    return Dashboard(
        uid="lookalike-operations",
        title="Lookalike: operations",
        says="Replicas, queues, batches and the device, generations, recall, memory.",
        rows=(_replicas(), _queue(), _device(), _generations(), _swaps(), _recall(), _memory()),
    )


def _replicas() -> Row:
    alerts = 'count by (alertname, severity) (ALERTS{service="lookalike", alertstate="firing"})'
    ends = f"{replicas('lookalike_certificate_end_timestamp_seconds')} - time()"
    return Row(
        "Replicas",
        (
            Panel(
                "Alerts",
                "Each names its page in docs/runbooks.",
                Unit.NONE,
                (Query(alerts, "{{alertname}} ({{severity}})"),),
                is_number=True,
                is_rare=True,
            ),
            Panel(
                "Replicas that answer",
                "Scrapes that succeed, by tier, and search replicas that callers are sent to.",
                Unit.NONE,
                (
                    Query(f"sum by (job) ({replicas('up')})", "{{job}}"),
                    Query(f"sum by (job) ({where('lookalike_search_ready')})", "{{job}}, ready"),
                ),
            ),
            Panel(
                "Time since the start",
                "A fall to zero is a restart in place.",
                Unit.SECONDS,
                (Query(f"time() - {replicas('process_start_time_seconds')}", _REPLICA),),
            ),
            Panel(
                "CPU",
                "Cores that each replica uses, and those of the processes that decode for it.",
                Unit.NONE,
                (
                    Query(rate("process_cpu_seconds_total", "instance", ALL), _REPLICA),
                    Query(
                        rate("lookalike_embedder_decoder_cpu_seconds_total", "instance"),
                        f"{_REPLICA}, decoders",
                    ),
                ),
            ),
            Panel(
                "Memory left",
                "Of the machine's, or of the container's limit. An alert comes below a tenth.",
                Unit.SHARE,
                (
                    Query(
                        f"{replicas('lookalike_memory_available_bytes')}"
                        f" / {replicas('lookalike_memory_limit_bytes')}",
                        _REPLICA,
                    ),
                ),
                most=1.0,
            ),
            Panel(
                "Certificate ends in",
                "The server's, or its clients' authority's, whichever is first. Alerts come at 14 "
                "days and at 3.",
                Unit.SECONDS,
                (Query(ends, _REPLICA),),
                is_rare=True,
            ),
        ),
    )


def _queue() -> Row:
    admission = "lookalike_admission"
    return Row(
        "Queue",
        (
            Panel(
                "Images that wait for the device",
                "Online goes before bulk. The number of pods follows the wait (KEDA).",
                Unit.NONE,
                (
                    Query(
                        f"sum by (priority) ({where('lookalike_embedder_queue_images')})",
                        "{{priority}}",
                    ),
                ),
            ),
            Panel(
                "Wait of one in ten",
                "p90. Alerts come at 0.5 s for the device or a decoder, at 0.05 s for a thread of "
                "search.",
                Unit.SECONDS,
                (
                    Query(where(EMBED_WAIT), "the device, online"),
                    Query(where(DECODE_WAIT), "a decoder, online"),
                    Query(where(SEARCH_WAIT), "a thread of search"),
                ),
            ),
            Panel(
                "Calls turned away",
                "refused: as many ran and waited as may. cut off: too many messages on their way. "
                "over cap: one caller had as many as one may.",
                Unit.CALLS,
                tuple(
                    Query(rate(f"{admission}_{what}_total", "job"), f"{{{{job}}}} {what}")
                    for what in ("refused", "cut_off", "over_cap")
                ),
            ),
        ),
    )


def _device() -> Row:
    forward = "lookalike_embedder_forward_seconds"
    trouble = "lookalike_embedder_device_trouble_total"
    return Row(
        "Batches and the device",
        (
            Panel(
                "Images a pass",
                "On average. Under load batches fill by themselves.",
                Unit.NONE,
                (Query(mean("lookalike_embedder_batch_images", "instance"), _REPLICA),),
            ),
            Panel(
                "Device in use",
                "The share of time with a pass on it. At 1 only more pods help.",
                Unit.SHARE,
                (Query(rate(f"{forward}_sum", "instance"), _REPLICA),),
                most=1.0,
            ),
            Panel(
                "A pass, one in ten",
                "p90.",
                Unit.SECONDS,
                (Query(quantile(0.9, forward, "instance"), _REPLICA),),
            ),
            Panel(
                "Passes without vectors",
                "out_of_memory goes on in halves; lost and stuck end the process.",
                Unit.PER_SECOND,
                (Query(rate(trouble, "kind"), "{{kind}}"),),
            ),
            Panel(
                "Decoders that died",
                "By a file, or killed; another took the place of each. An alert comes at more than "
                "12 in 30 minutes.",
                Unit.PER_SECOND,
                (Query(rate("lookalike_embedder_decoder_deaths_total", "instance"), _REPLICA),),
                is_rare=True,
            ),
            Panel(
                "Golden photos: distance from 1",
                "1 less the smallest cosine to the model's own vectors, when the process started. "
                "An alert comes above 0.001, the process refuses to start above 0.01.",
                Unit.NONE,
                (
                    Query(
                        f"1 - {replicas('lookalike_embedder_golden_cosine', EMBEDDERS)}", _REPLICA
                    ),
                ),
            ),
            Panel(
                "Embedders by space and device",
                "What runs.",
                Unit.NONE,
                (
                    Query(
                        "count by (job, space_id, device, precision)"
                        f" ({where('lookalike_embedder_info')})",
                        "{{job}} {{device}} {{precision}} {{space_id}}",
                    ),
                ),
                is_number=True,
            ),
        ),
    )


def _generations() -> Row:
    search = "lookalike_search"
    return Row(
        "Generations and spaces",
        (
            Panel(
                "Generation by replica",
                "Lines that part for long are a split fleet.",
                Unit.NONE,
                (
                    Query(
                        where(f"{search}_generation"),
                        "{{instance}} {{index}} {{space_id}}",
                    ),
                ),
                width=12,
            ),
            Panel(
                "CURRENT and the newest",
                "Where the newest is ahead for long, a publish did not get through or was rolled "
                "back.",
                Unit.NONE,
                (
                    Query(
                        f"max by (index) ({where(f'{search}_current_generation')})",
                        "{{index}}: CURRENT",
                    ),
                    Query(
                        f"max by (index) ({where(f'{search}_newest_generation')})",
                        "{{index}}: newest",
                    ),
                ),
                width=12,
            ),
            Panel(
                "Spaces served",
                "How many replicas serve each.",
                Unit.NONE,
                (
                    Query(
                        f"count by (index, space_id) ({where(f'{search}_generation')})",
                        "{{index}} {{space_id}}",
                    ),
                ),
                is_number=True,
            ),
            Panel(
                "On hold for",
                "Publishes write, CURRENT stays. An alert comes after 2 days.",
                Unit.SECONDS,
                (
                    Query(
                        f"time() - min by (index) ({where(f'{search}_hold_timestamp_seconds')})",
                        "{{index}}",
                    ),
                ),
                is_rare=True,
            ),
            Panel(
                "Pinned for",
                "Replicas that stay, whatever CURRENT says. An alert comes after a day.",
                Unit.SECONDS,
                (
                    Query(
                        f"time() - {where(f'{search}_pin_timestamp_seconds')}",
                        "{{instance}} {{index}}",
                    ),
                ),
                is_rare=True,
            ),
            Panel(
                "Store not read for",
                "What is published meanwhile is not seen. An alert comes after 15 minutes.",
                Unit.SECONDS,
                (
                    Query(
                        f"time() - {where(f'{search}_store_read_timestamp_seconds')}",
                        _REPLICA,
                    ),
                ),
            ),
        ),
    )


def _swaps() -> Row:
    search = "lookalike_search"
    return Row(
        "Swaps and refusals",
        (
            Panel(
                "Swaps",
                "Generations that CURRENT named, by what became of them.",
                Unit.NONE,
                (
                    Query(
                        f"sum by (index, result) (increase({where(f'{search}_swaps_total')}[1h]))",
                        "{{index}} {{result}}",
                    ),
                ),
            ),
            Panel(
                "Refused now",
                "Replicas that do not serve what CURRENT asks for, by reason.",
                Unit.NONE,
                (
                    Query(
                        f"count by (index, reason) ({where(f'{search}_refused')})",
                        "{{index}} {{reason}}",
                    ),
                ),
                is_rare=True,
            ),
            Panel(
                "Time to take a generation in",
                "On average: fetch, check, warm, ask the golden queries.",
                Unit.SECONDS,
                (
                    Query(
                        f"sum by (index) ({where(f'{search}_load_seconds_sum')})"
                        f" / sum by (index) ({where(f'{search}_load_seconds_count')})",
                        "{{index}}",
                    ),
                ),
            ),
        ),
    )


def _recall() -> Row:
    dropped = "lookalike_search_live_recall_dropped_total"
    return Row(
        "Live recall",
        (
            Panel(
                "Live recall by space",
                "The mean since the generation came into service.",
                Unit.SHARE,
                (Query(where(RECALL), "{{index}} {{space_id}}"),),
                least=None,
                most=1.0,
            ),
            Panel(
                "Samples",
                "Of the generation that is served; 200 make an alert.",
                Unit.NONE,
                (Query(where(RECALL_SAMPLES), "{{index}} {{space_id}}"),),
            ),
            Panel(
                "Samples dropped",
                "busy: beyond the CPU budget. gone: the generation is served no more.",
                Unit.PER_SECOND,
                (Query(rate(dropped, "reason"), "{{reason}}"),),
            ),
        ),
    )


def _memory() -> Row:
    resident = where("lookalike_search_resident_bytes")
    mapped = where("lookalike_search_mapped_bytes")
    return Row(
        "Memory and disk",
        (
            Panel(
                "Page residency",
                "The share of the mapped files that is in memory. What is not costs a read.",
                Unit.SHARE,
                (
                    Query(
                        f"sum by (instance, index) ({resident})"
                        f" / sum by (instance, index) ({mapped})",
                        "{{instance}} {{index}}",
                    ),
                ),
                most=1.0,
            ),
            Panel(
                "Mapped",
                "All files of what is served.",
                Unit.BYTES,
                (Query(where(MAPPED), _REPLICA),),
            ),
            Panel(
                "Free for the cache",
                "An alert comes when another generation would not fit.",
                Unit.BYTES,
                (Query(where("lookalike_search_cache_free_bytes"), _REPLICA),),
            ),
            Panel(
                "Polls without the store",
                "Replicas serve on from their caches; nothing new comes.",
                Unit.PER_SECOND,
                (Query(rate("lookalike_search_store_errors_total", "instance"), _REPLICA),),
            ),
            Panel(
                "Files read again",
                "Certificates and tokens, by what became of the new version.",
                Unit.NONE,
                (
                    Query(
                        f"sum by (what, result) ({where('lookalike_reloads_total')})",
                        "{{what}} {{result}}",
                    ),
                ),
                is_rare=True,
            ),
            Panel(
                "Open files",
                "Connections, mapped files, logs.",
                Unit.NONE,
                (Query(replicas("process_open_fds"), _REPLICA),),
            ),
        ),
    )
