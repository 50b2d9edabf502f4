"""Recordings and alerts as Prometheus reads them, plain or as an operator's resource."""

from typing import Any

import yaml

from tools.monitoring.alert import Alert
from tools.monitoring.alerts import alerts
from tools.monitoring.clock import Clock
from tools.monitoring.recording import Recording, aggregates, objectives

EVALUATED_SECONDS = 30.0
_MADE = "# Made from tools/monitoring by `make docs`.\n"
_WALL = Clock()


def groups(clock: Clock = _WALL) -> dict[str, Any]:
    """A file of rules. Alerts come last, so that they see what was just recorded."""
    made = {
        "lookalike-objectives": [_recording(each) for each in objectives(clock)],
        "lookalike-aggregates": [_recording(each) for each in aggregates(clock)],
        "lookalike-alerts": [_alert(each, clock) for each in alerts(clock)],
    }
    interval = clock.span(EVALUATED_SECONDS)
    return {
        "groups": [
            {"name": name, "interval": interval, "rules": rules} for name, rules in made.items()
        ]
    }


def rules_file() -> str:
    """What Prometheus loads by `rule_files`."""
    return _MADE + as_yaml(groups())


def rules_resource() -> str:
    """The same, for a Prometheus operator."""
    resource = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "lookalike"},
        "spec": groups(),
    }
    return _MADE + as_yaml(resource)


def _recording(rule: Recording) -> dict[str, Any]:
    made: dict[str, Any] = {"record": rule.record, "expr": rule.expr}
    return made | ({"labels": dict(rule.labels)} if rule.labels else {})


def _alert(alert: Alert, clock: Clock) -> dict[str, Any]:
    lasting = {"for": clock.span(alert.for_seconds)} if alert.for_seconds else {}
    return {
        "alert": alert.name,
        "expr": alert.expr,
        **lasting,
        "labels": {"severity": alert.severity, "service": "lookalike", **alert.labels},
        "annotations": {
            "summary": alert.means,
            "description": alert.says,
            "runbook": alert.runbook,
        },
    }


def as_yaml(value: Any) -> str:
    return str(yaml.safe_dump(value, sort_keys=False, width=110, allow_unicode=True))
