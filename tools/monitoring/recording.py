"""Recording rules: how fast each objective's budget burns, and what dashboards ask again and again.

Names keep the windows that they have on a wall's clock.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from tools.monitoring.clock import MINUTE, Clock, span
from tools.monitoring.slo import OUR_FAULT, PERIOD_SECONDS, SHORTEST, SLOS, WINDOWS, Slo

CALLS = "lookalike:slo_calls:rate5m"
BAD_CALLS = "lookalike:slo_bad_calls:rate5m"
BUDGET_LEFT = "lookalike:slo_budget_left:ratio30d"
EMBED_WAIT = "lookalike:embed_queue_seconds:p90_5m"
DECODE_WAIT = "lookalike:embed_decode_wait_seconds:p90_5m"
SEARCH_WAIT = "lookalike:search_admission_seconds:p90_5m"
RECALL = "lookalike:live_recall:mean"
RECALL_SAMPLES = "lookalike:live_recall_samples:sum"
MAPPED = "lookalike:mapped_bytes:sum"
SPACES = "namespace, index, space_id"
_LAST_BUCKET_SECONDS = 10.0  # that all histograms of calls have


@dataclass(frozen=True)
class Recording:
    """record: the name of what comes of expr; labels are added to it."""

    record: str
    expr: str
    labels: dict[str, str] = field(default_factory=dict)


def burn_name(window_seconds: float) -> str:
    """The recorded burn rate over a window: 1 spends exactly the budget in the period."""
    return f"lookalike:slo_burn:ratio{span(window_seconds)}"


def objectives(clock: Clock) -> list[Recording]:
    return [rule for slo in SLOS for rule in _objective(slo, clock)]


def aggregates(clock: Clock) -> list[Recording]:
    wait = "lookalike_embedder_queue_seconds_bucket"
    turn = "lookalike_embedder_decode_wait_seconds_bucket"
    admission = "lookalike_admission_wait_seconds_bucket"
    recall, samples = "lookalike_search_live_recall", "lookalike_search_live_recall_samples"
    window = clock.span(5 * MINUTE)
    return [
        Recording(EMBED_WAIT, _p90(f'{wait}{{priority="online"}}', window)),
        Recording(DECODE_WAIT, _p90(f'{turn}{{priority="online"}}', window)),
        Recording(SEARCH_WAIT, _p90(f'{admission}{{job="lookalike-search"}}', window)),
        Recording(
            RECALL, f"sum by ({SPACES}) ({recall} * {samples}) / sum by ({SPACES}) ({samples})"
        ),
        Recording(RECALL_SAMPLES, f"sum by ({SPACES}) ({samples})"),
        Recording(MAPPED, "sum by (namespace, instance) (lookalike_search_mapped_bytes)"),
    ]


def _objective(slo: Slo, clock: Clock) -> Iterator[Recording]:
    of = {"slo": slo.name}
    window = clock.span(SHORTEST)
    calls, bad = _of_errors(slo, window)
    if slo.latency_seconds is not None:
        seconds = min(slo.latency_seconds * clock.patience, _LAST_BUCKET_SECONDS)
        calls, bad = _of_latency(slo, window, seconds)
    yield Recording(CALLS, calls, of)
    yield Recording(BAD_CALLS, bad, of)
    which = f'{{slo="{slo.name}"}}'
    for seconds in WINDOWS:
        span_ = clock.span(seconds)
        # The rates over 5 minutes, added up: exact enough, and a hundredth of the samples.
        ratio = (
            f"{BAD_CALLS}{which} / {CALLS}{which}"
            if seconds == SHORTEST
            else f"sum_over_time({BAD_CALLS}{which}[{span_}])"
            f" / sum_over_time({CALLS}{which}[{span_}])"
        )
        yield Recording(burn_name(seconds), f"({ratio}) / {slo.budget:.6g}", of)
    period = f"{clock.span(PERIOD_SECONDS)}:{clock.span(SHORTEST)}"
    spent = f"sum_over_time({BAD_CALLS}{which}[{period}]) / sum_over_time({CALLS}{which}[{period}])"
    yield Recording(BUDGET_LEFT, f"1 - ({spent}) / {slo.budget:.6g}", of)


def _of_errors(slo: Slo, window: str) -> tuple[str, str]:
    """All calls, and those that failed by no fault of the caller's."""
    calls = _rate(f"{slo.metric}{{{slo.calls}}}", window)
    failed = _rate(f'{slo.metric}{{{slo.calls},grpc_code=~"{OUR_FAULT}"}}', window)
    # Who has more calls in flight than one caller may is refused like any overload.
    over_cap = _rate(f"lookalike_admission_over_cap_total{{{slo.tier}}}", window)
    return calls, f"clamp_min({failed} - {over_cap}, 0)"


def _of_latency(slo: Slo, window: str, seconds: float) -> tuple[str, str]:
    calls = _rate(f"{slo.metric}_count{{{slo.calls}}}", window)
    quick = _rate(f'{slo.metric}_bucket{{{slo.calls},le="{seconds}"}}', window)
    return calls, f"{calls} - {quick}"


def _rate(selector: str, window: str) -> str:
    return f"sum by (namespace) (rate({selector}[{window}]))"


def _p90(selector: str, window: str) -> str:
    return f"histogram_quantile(0.9, sum by (namespace, le) (rate({selector}[{window}])))"
