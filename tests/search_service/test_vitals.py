import grpc
import pytest

from lookalike_kit.errors import CallerGone, Fault, InvalidField
from search_service.vitals import KEPT, Vital, Vitals


def test_each_generation_has_counts_of_its_own():
    vitals = Vitals()
    vitals.answered("old", 64)
    vitals.answered("old", 1)
    vitals.sampled("old", 1.0)
    vitals.sampled("old", 0.7)
    vitals.answered("new", 1)

    assert vitals.of("old") == Vital(
        live_recall=pytest.approx(0.85), live_recall_samples=2, queries=65
    )
    assert vitals.of("new") == Vital(queries=1)
    assert vitals.of("another") == Vital(live_recall=None)


@pytest.mark.parametrize("error", [KeyError("a fault"), Fault("request-1")])
def test_a_call_that_ends_internal_counts(error):
    vitals = Vitals()

    with pytest.raises(type(error)), vitals.watch("a"):
        raise error
    assert vitals.of("a") == Vital(internal_errors=1)


@pytest.mark.parametrize("error", [InvalidField("k", "1", "0"), CallerGone("the caller is gone")])
def test_what_the_caller_caused_does_not(error):
    vitals = Vitals()

    assert error.status is not grpc.StatusCode.INTERNAL
    with pytest.raises(type(error)), vitals.watch("a"):
        raise error
    assert vitals.of("a") == Vital()


def test_what_changed_longest_ago_is_forgotten():
    vitals = Vitals()
    for number in range(KEPT):
        vitals.answered(f"{number}", 1)
    vitals.answered("0", 1)
    vitals.answered("one more", 1)

    assert vitals.of("0").queries == 2
    assert vitals.of("1").queries == 0
    assert vitals.of("2").queries == 1
