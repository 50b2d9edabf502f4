import pytest
from lookalike.search.v1 import search_pb2 as pb

from search_service.ease import eased
from search_service.options import read_options

LEVELS = [(0.0, 0.99), (0.5, 0.99), (0.51, 0.95), (0.75, 0.95), (0.76, 0.90), (1.0, 0.90)]


def asked(**options):
    return read_options(pb.SearchOptions(**options), queries=1)


@pytest.mark.parametrize(("pressure", "recall"), LEVELS)
def test_the_default_recall_steps_down_with_the_pressure(pressure, recall):
    options = eased(asked(), pressure, ease_from=0.5)

    assert options.recall == recall
    assert options.eased == (recall < 0.99)


@pytest.mark.parametrize(("pressure", "recall"), [(0.0, 0.95), (0.6, 0.95), (0.9, 0.90)])
def test_a_relaxed_recall_steps_down_later(pressure, recall):
    options = eased(asked(accuracy=pb.ACCURACY_RECALL_95), pressure, ease_from=0.5)

    assert options.recall == recall
    assert options.eased == (recall < 0.95)


@pytest.mark.parametrize(
    "options",
    [
        {"accuracy": pb.ACCURACY_EXACT},
        {"strict_recall": True},
        {"strict_recall": True, "accuracy": pb.ACCURACY_RECALL_95},
        {"accuracy": pb.ACCURACY_RECALL_90},
    ],
)
def test_exact_strict_and_least_calls_stay_as_they_are(options):
    assert eased(asked(**options), 1.0, ease_from=0.0) == asked(**options)


def test_easing_may_be_forbidden():
    assert eased(asked(), 1.0, ease_from=1.0) == asked()
