"""The files that are made of all this: tools/generated.py writes and compares them."""

from collections.abc import Callable, Iterable

from tools.monitoring.alerts import alerts
from tools.monitoring.catalogue import Entry, of_both, of_search, of_the_embedder
from tools.monitoring.clock import Clock
from tools.monitoring.grafana import dashboard_file
from tools.monitoring.operators import operators
from tools.monitoring.owners import owners
from tools.monitoring.panel import Dashboard
from tools.monitoring.rules import rules_file, rules_resource
from tools.monitoring.slo import SLOS, Slo

FOLDER = "deploy/monitoring"
DASHBOARDS = (owners, operators)


def pages() -> dict[str, Callable[[], str]]:
    """By path."""
    made: dict[str, Callable[[], str]] = {
        f"{FOLDER}/rules.yaml": rules_file,
        f"{FOLDER}/prometheus-rule.yaml": rules_resource,
        f"{FOLDER}/alerts.md": alerts_page,
        "docs/metrics.md": metrics_page,
    }
    return made | {f"{FOLDER}/dashboards/{each().uid}.json": _file(each) for each in DASHBOARDS}


def _file(dashboard: Callable[[], Dashboard]) -> Callable[[], str]:
    return lambda: dashboard_file(dashboard())


def alerts_page() -> str:
    """The objectives and the alerts as tables."""
    lines = [
        "# Objectives and alerts",
        "",
        "Made from `tools/monitoring` by `make docs`; docs/monitoring.md tells how to read them.",
        "",
        "| objective | promise | good calls in 30 days | alert |",
        "|---|---|---|---|",
        *map(_objective, SLOS),
        "",
        "A page wakes somebody; a ticket waits for the working day.",
        "",
        "| alert | severity | means | runbook |",
        "|---|---|---|---|",
        *_alerts(),
    ]
    return "\n".join(lines) + "\n"


def metrics_page() -> str:
    """Every metric as a table."""
    lines = [
        "# Metrics",
        "",
        "Made from the code by `make docs`. A histogram has the series `_bucket`, `_sum` and",
        "`_count`. Both tiers also have `process_*` and `python_*` of prometheus_client. No label",
        "holds what a caller sent: names of indexes are the store's, a method is one that exists.",
    ]
    for title, entries in (
        ("Both tiers", of_both()),
        ("Embedder", of_the_embedder()),
        ("Search", of_search()),
    ):
        lines += ["", f"## {title}", "", "| metric | kind | labels | |", "|---|---|---|---|"]
        lines += map(_entry, entries)
    return "\n".join(lines) + "\n"


def _objective(slo: Slo) -> str:
    return f"| {slo.name} | {slo.promise} | {100 * slo.objective:g} % | `{slo.alert}` |"


def _alerts() -> Iterable[str]:
    every = alerts(Clock())
    for name in dict.fromkeys(alert.name for alert in every):
        rules = [alert for alert in every if alert.name == name]
        severities = ", ".join(sorted({alert.severity for alert in rules}))
        yield f"| `{name}` | {severities} | {rules[0].means} | {rules[0].runbook} |"


def _entry(entry: Entry) -> str:
    names = ", ".join(f"`{label}`" for label in entry.labels)
    return f"| `{entry.name}` | {entry.kind} | {names} | {entry.words} |"
