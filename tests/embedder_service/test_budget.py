import pytest

from embedder_service.budget import ByteBudget
from lookalike_kit.errors import Overloaded


def test_what_would_go_over_the_budget_is_refused_with_the_time_to_come_back():
    budget = ByteBudget(100)
    with budget.hold(60):
        with pytest.raises(Overloaded, match="at most 100 in calls that run, got 60 and 41") as e:
            budget.hold(41).__enter__()
        with budget.hold(40):
            pass

    assert e.value.retry_after_seconds > 0


def test_bulk_leaves_half_of_the_budget_to_others():
    budget = ByteBudget(100)
    with budget.hold(40, bulk=True):
        with pytest.raises(Overloaded, match="at most 50 in calls that run, got 40 and 11"):
            budget.hold(11, bulk=True).__enter__()
        with budget.hold(60):
            pass


def test_a_call_larger_than_the_budget_is_taken_alone():
    budget = ByteBudget(100)
    with budget.hold(500), pytest.raises(Overloaded):
        budget.hold(1).__enter__()


def test_a_call_that_fails_gives_its_bytes_back():
    budget = ByteBudget(100)
    with pytest.raises(KeyError), budget.hold(100):
        raise KeyError

    with budget.hold(100):
        pass
