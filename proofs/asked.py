"""Whether Prometheus has an answer to everything that rules and dashboards ask."""

import math
import re

from proofs.prometheus import Prometheus
from tools.monitoring.alert import Alert
from tools.monitoring.alerts import OF_CLUSTER, alerts
from tools.monitoring.clock import HOUR, MINUTE, Clock
from tools.monitoring.operators import operators
from tools.monitoring.owners import owners
from tools.monitoring.panel import RATE, Panel
from tools.monitoring.recording import Recording, aggregates, objectives

_SERIES = re.compile(r"\b(?:lookalike[_:]|grpc_server_|process_)[a-z0-9_:]+|\bup\b")


def resolved(expr: str, clock: Clock) -> str:
    """A dashboard's query with Grafana's variables in, its times by the clock."""
    lasting = {RATE: clock.span(5 * MINUTE), "1h": clock.span(HOUR)}
    for word, span in lasting.items():
        expr = expr.replace(f"[{word}]", f"[{span}]")
    return expr.replace("$namespace", ".*")


def without_data(watcher: Prometheus, clock: Clock, start: float, end: float) -> list[str]:
    """The queries of panels, the recordings, and the series that alerts ask for, that had none.

    Alerts of a cluster ask a cluster.
    """

    def has_data(expr: str) -> bool:
        found = watcher.between(expr, start, end, step)
        return any(math.isfinite(value) for _, values in found for _, value in values)

    step = max(0.5, (end - start) / 1000)
    asked = {f"recording {each.record}": each.record for each in _recordings(clock)}
    asked |= {
        f"panel {panel.title}: {query.legend}": resolved(query.expr, clock)
        for panel in panels()
        for query in panel.queries
    }
    for alert in alerts(clock):
        asked |= {f"alert {alert.name}: {series}": series for series in _series(alert)}
    return [name for name, expr in asked.items() if not has_data(expr)]


def panels() -> list[Panel]:
    return [*owners().panels, *operators().panels]


def rare(clock: Clock) -> set[str]:
    """The names, as above, of what may well have no data: nothing of the kind happened."""
    of_panels = {
        f"panel {panel.title}: {query.legend}": query.expr
        for panel in panels()
        if panel.is_rare
        for query in panel.queries
    }
    series = {name for expr in of_panels.values() for name in _SERIES.findall(expr)}
    of_alerts = {f"alert {alert.name}: {name}" for alert in alerts(clock) for name in series}
    return {*of_panels, *of_alerts}


def _recordings(clock: Clock) -> list[Recording]:
    return [*objectives(clock), *aggregates(clock)]


def _series(alert: Alert) -> set[str]:
    of_cluster = OF_CLUSTER.items() <= alert.labels.items()
    return set() if of_cluster else set(_SERIES.findall(alert.expr))
