"""What users are promised: recording rules, burn-rate alerts and docs are made of this table."""

from dataclasses import dataclass

from tools.monitoring.clock import DAY, HOUR, MINUTE

# An objective holds over so long; its budget is what may go wrong meanwhile.
PERIOD_SECONDS = 30 * DAY

EMBEDDER = 'job="lookalike-embedder"'
SEARCH = 'job="lookalike-search"'
# Also the next model's, beside the one that serves (docs/upgrading.md).
EMBEDDERS = 'job=~"lookalike-embedder(-next)?"'
ALL = 'job=~"lookalike-(embedder|embedder-next|search)"'

# What a caller can do nothing about; a refusal for overload is one as well.
OUR_FAULT = "DataLoss|DeadlineExceeded|Internal|ResourceExhausted|Unavailable|Unknown"


@dataclass(frozen=True)
class Slo:
    """One promise: this share of calls is good, over the period.

    calls: a selector of grpc_server_handled_total, or of a histogram's name where latency_seconds
    says how long a good call may take, one of its buckets.
    tier: a selector of the tier's replicas.
    """

    name: str
    alert: str
    promise: str
    tier: str
    metric: str
    calls: str
    objective: float
    latency_seconds: float | None = None

    @property
    def budget(self) -> float:
        """The share of calls that may be bad."""
        return 1 - self.objective


SLOS = (
    Slo(
        name="search-errors",
        alert="SearchErrorBudgetBurn",
        promise="searches are answered",
        tier=SEARCH,
        metric="grpc_server_handled_total",
        calls='grpc_service="lookalike.search.v1.SearchService",grpc_method=~"Search|SearchBatch"',
        objective=0.999,
    ),
    Slo(
        name="search-latency",
        alert="SearchLatencyBudgetBurn",
        promise="a search of one query takes at most 0.1 s, waiting for a thread included",
        tier=SEARCH,
        metric="grpc_server_handling_seconds",
        calls='grpc_service="lookalike.search.v1.SearchService",grpc_method="Search"',
        objective=0.99,
        latency_seconds=0.1,
    ),
    Slo(
        name="embed-errors",
        alert="EmbedErrorBudgetBurn",
        promise="embed calls are answered, by either face of the embedder",
        tier=EMBEDDER,
        metric="grpc_server_handled_total",
        calls='job="lookalike-embedder",grpc_method=~"Embed|ModelInfer"',
        objective=0.999,
    ),
    Slo(
        name="embed-latency",
        alert="EmbedLatencyBudgetBurn",
        promise="an online embed call takes at most 1 s; bulk calls wait by design",
        tier=EMBEDDER,
        metric="lookalike_embedder_call_seconds",
        calls='job="lookalike-embedder",priority="online"',
        objective=0.99,
        latency_seconds=1.0,
    ),
)


@dataclass(frozen=True)
class Burn:
    """Fires while a budget burns so many times as fast as it may, over a long window and a short.

    The long window says that it matters, the short one that it goes on.
    """

    severity: str
    times: float
    long_seconds: float
    short_seconds: float


# Of a budget of 30 days: 2 % in an hour, 5 % in six, 10 % in a day, 10 % in three days.
BURNS = (
    Burn("page", 14.4, HOUR, 5 * MINUTE),
    Burn("page", 6, 6 * HOUR, 30 * MINUTE),
    Burn("ticket", 3, DAY, 2 * HOUR),
    Burn("ticket", 1, 3 * DAY, 6 * HOUR),
)

WINDOWS = sorted({each for burn in BURNS for each in (burn.long_seconds, burn.short_seconds)})
SHORTEST = WINDOWS[0]
