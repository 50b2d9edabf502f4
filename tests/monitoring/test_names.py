"""Rules and dashboards ask for what there is."""

import re

import pytest

from proofs.watch import CLOCK as PROOF
from tools.monitoring.alerts import alerts
from tools.monitoring.catalogue import of_both, of_search, of_the_embedder
from tools.monitoring.clock import Clock, span
from tools.monitoring.operators import operators
from tools.monitoring.owners import owners
from tools.monitoring.recording import aggregates, objectives
from tools.monitoring.slo import SLOS

CLOCK = Clock()
RECORDED = [*objectives(CLOCK), *aggregates(CLOCK)]
PANELS = [*owners().panels, *operators().panels]
EXPRESSIONS = [
    *(rule.expr for rule in RECORDED),
    *(alert.expr for alert in alerts(CLOCK)),
    *(query.expr for panel in PANELS for query in panel.queries),
]
METRICS = {entry.name: entry for entry in (*of_both(), *of_the_embedder(), *of_search())}
# What callers send, in whatever form, and what is different for each call.
UNBOUNDED = {"request_id", "caller", "item_id", "photo_id", "peer", "message", "user"}


def test_every_series_asked_for_is_one_that_the_code_has():
    known = {name for entry in METRICS.values() for name in entry.series}
    known |= {rule.record for rule in RECORDED}

    asked = {
        name
        for expr in EXPRESSIONS
        for name in re.findall(r"\b(?:lookalike[_:]|grpc_server_)[a-z0-9_:]+", expr)
    }

    assert len(asked) > 40
    assert asked <= known


def test_no_label_can_grow_with_what_callers_send():
    for entry in METRICS.values():
        assert not UNBOUNDED & set(entry.labels), entry.name
        assert len(entry.labels) <= 8


@pytest.mark.parametrize("slo", [each for each in SLOS if each.latency_seconds], ids=str)
def test_an_objectives_latency_is_the_end_of_a_bucket(slo):
    """Else nothing would be counted below it."""
    from embedder_service.metrics import _SECONDS as OF_EMBEDDER
    from lookalike_kit.metrics import _SECONDS as OF_CALLS

    buckets = OF_CALLS if slo.metric.startswith("grpc") else OF_EMBEDDER

    assert slo.latency_seconds in buckets
    assert min(slo.latency_seconds * PROOF.patience, 10.0) in buckets


def test_panels_have_names_of_their_own_and_words():
    for dashboard in (owners(), operators()):
        titles = [panel.title for panel in dashboard.panels]
        assert len(set(titles)) == len(titles)
        assert all(panel.says.endswith(".") for panel in dashboard.panels)
        assert all(panel.queries for panel in dashboard.panels)


def test_time_spans_are_written_in_the_largest_whole_unit():
    assert [span(each) for each in (0.3, 3, 90, 300, 5400, 129600, 259200)] == [
        *("300ms", "3s", "90s", "5m", "90m", "36h", "3d"),
    ]
