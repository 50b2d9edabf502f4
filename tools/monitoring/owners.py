"""For the owners of the service: does it keep its promises, and where do the time and errors go?"""

from tools.monitoring.panel import Dashboard, Panel, Query, Row, Unit, mean, quantile, rate, where
from tools.monitoring.recording import BUDGET_LEFT, RECALL, burn_name
from tools.monitoring.slo import OUR_FAULT, SHORTEST

_HOUR = 3600.0
SEARCH = 'grpc_service="lookalike.search.v1.SearchService"'
EMBED = 'grpc_method=~"Embed|ModelInfer"'
_CALLS = 'grpc_service=~"lookalike[.].*|inference[.].*"'


def owners() -> Dashboard:
    return Dashboard(
        uid="lookalike-service",
        title="Lookalike: service",
        says="Promises and their budgets; rate, errors, duration; time by stage.",
        rows=(_promises(), _red(), _stages(), _answers()),
    )


def _promises() -> Row:
    burn, lately = burn_name(_HOUR), burn_name(SHORTEST)
    return Row(
        "Promises",
        (
            Panel(
                "Budget left",
                "Of what may go wrong in 30 days (docs/monitoring.md). Below zero the promise is "
                "broken.",
                Unit.SHARE,
                (Query(where(BUDGET_LEFT), "{{slo}}"),),
                is_number=True,
                least=None,
                most=1.0,
            ),
            Panel(
                "Budget burnt, over an hour",
                "1 is exactly what may be spent. A page comes at 14.4, over an hour and over 5 "
                "minutes.",
                Unit.NONE,
                (Query(where(burn), "{{slo}}"),),
            ),
            Panel(
                "Budget burnt, over 5 minutes",
                "What goes on now.",
                Unit.NONE,
                (Query(where(lately), "{{slo}}"),),
            ),
        ),
    )


def _red() -> Row:
    handled, seconds = "grpc_server_handled_total", "grpc_server_handling_seconds"
    failed = f'{_CALLS},grpc_code=~"{OUR_FAULT}"'
    call = "lookalike_embedder_call_seconds"
    return Row(
        "Rate, errors, duration",
        (
            Panel(
                "Calls",
                "Answered calls of both tiers, by method.",
                Unit.CALLS,
                (Query(rate(handled, "grpc_method", _CALLS), "{{grpc_method}}"),),
            ),
            Panel(
                "Errors by status",
                "Whatever is not OK; InvalidArgument, NotFound and FailedPrecondition are callers' "
                "mistakes.",
                Unit.CALLS,
                (
                    Query(
                        rate(handled, "grpc_code", f'{_CALLS},grpc_code!="OK"') + " > 0",
                        "{{grpc_code}}",
                    ),
                ),
                is_rare=True,
            ),
            Panel(
                "Failed share",
                "Of all calls, those that failed by no fault of the caller's.",
                Unit.SHARE,
                (
                    Query(
                        f"{rate(handled, 'job', failed)} / {rate(handled, 'job', _CALLS)}",
                        "{{job}}",
                    ),
                ),
            ),
            Panel(
                "Duration of a search",
                "From a call's arrival to its status.",
                Unit.SECONDS,
                tuple(
                    Query(quantile(share, seconds, matchers=f'{SEARCH},grpc_method="Search"'), name)
                    for share, name in ((0.5, "p50"), (0.9, "p90"), (0.99, "p99"))
                ),
            ),
            Panel(
                "Duration of an online embed call",
                "From a call's arrival to its vectors.",
                Unit.SECONDS,
                tuple(
                    Query(quantile(share, call, matchers='priority="online"'), name)
                    for share, name in ((0.5, "p50"), (0.9, "p90"), (0.99, "p99"))
                ),
            ),
            Panel(
                "Calls in flight",
                "Calls that run or wait for a thread.",
                Unit.NONE,
                (Query(f"sum by (job) ({where('lookalike_in_flight_calls')})", "{{job}}"),),
            ),
        ),
    )


def _stages() -> Row:
    stage = "lookalike_search_stage_seconds"
    embedder = "lookalike_embedder"
    return Row(
        "Time by stage",
        (
            Panel(
                "Search, on average",
                "filter: what may answer. candidates: the engine. rerank: exact distances.",
                Unit.SECONDS,
                (Query(mean(stage, "stage"), "{{stage}}"),),
            ),
            Panel(
                "Search, one in a hundred",
                "The same, p99.",
                Unit.SECONDS,
                (Query(quantile(0.99, stage, "stage"), "{{stage}}"),),
            ),
            Panel(
                "Embed, one in ten",
                "p90 of decoding an image, of the wait for the device and of a pass.",
                Unit.SECONDS,
                (
                    Query(quantile(0.9, f"{embedder}_decode_seconds"), "decode"),
                    Query(
                        quantile(0.9, f"{embedder}_queue_seconds", matchers='priority="online"'),
                        "queue",
                    ),
                    Query(quantile(0.9, f"{embedder}_forward_seconds"), "forward"),
                ),
            ),
        ),
    )


def _answers() -> Row:
    items = f"max by (index) ({where('lookalike_search_items')})"
    return Row(
        "Answers",
        (
            Panel(
                "Queries by index and engine",
                "A batch counts each of its queries.",
                Unit.PER_SECOND,
                (
                    Query(
                        rate("lookalike_search_queries_total", "index, engine"),
                        "{{index}} {{engine}}",
                    ),
                ),
            ),
            Panel(
                "Answered at a lower recall",
                "Because too many calls waited, and the answer says so.",
                Unit.CALLS,
                (
                    Query(
                        rate("lookalike_search_eased_total", "index, recall"),
                        "{{index}} {{recall}}",
                    ),
                ),
                is_rare=True,
            ),
            Panel(
                "Live recall",
                "Of sampled answers, given again by comparing every vector. 0.99 is promised; an "
                "alert comes below 0.97 over at least 200 samples.",
                Unit.SHARE,
                (Query(where(RECALL), "{{index}}"),),
                least=None,
                most=1.0,
            ),
            Panel(
                "Images by result",
                "ok, or the reason of the refusal (docs/errors.md).",
                Unit.PER_SECOND,
                (Query(rate("lookalike_embedder_images_total", "result"), "{{result}}"),),
            ),
            Panel(
                "Items",
                "In what is served. A catalogue that shrank is a sound index to every other check.",
                Unit.NONE,
                (Query(items, "{{index}}"),),
            ),
            Panel(
                "Age of the index",
                "Since the youngest generation was built. An alert comes at 36 hours.",
                Unit.SECONDS,
                (
                    Query(
                        f"min by (index) ({where('lookalike_search_generation_age_seconds')})",
                        "{{index}}",
                    ),
                ),
            ),
        ),
    )
