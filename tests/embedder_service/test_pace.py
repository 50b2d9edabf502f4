import pytest

from embedder_service.pace import Pace


def test_before_any_batch_the_warm_up_is_believed():
    pace = Pace(one_seconds=0.1, full_seconds=0.8, max_batch=8)

    assert pace.predict(1) == pytest.approx(0.1)
    assert pace.predict(8) == pytest.approx(0.8)
    assert pace.predict(20) == pytest.approx(0.8 + 0.8 + 0.4)


def test_a_machine_that_slows_down_is_noticed_within_a_few_batches():
    pace = Pace(one_seconds=0.1, full_seconds=0.8, max_batch=8)

    for _ in range(20):
        pace.observe(8, 1.6)

    assert pace.predict(8) == pytest.approx(1.6, rel=0.05)
    assert pace.predict(1) == pytest.approx(0.2, rel=0.05)


def test_one_hiccup_moves_the_prediction_by_a_fifth_at_most():
    pace = Pace(one_seconds=0.1, full_seconds=0.8, max_batch=8)

    pace.observe(8, 1000)

    assert pace.predict(8) == pytest.approx(0.8 * 1.2)


def test_for_an_idle_device_no_prediction_is_slower_than_the_warm_up():
    pace = Pace(one_seconds=0.1, full_seconds=0.8, max_batch=8)
    for _ in range(100):
        pace.observe(1, 50)

    assert pace.predict_idle(1) == pytest.approx(0.1)


def test_a_batch_of_one_is_a_full_batch_where_that_is_the_most():
    assert Pace(0.1, 0.1, max_batch=1).predict(5) == pytest.approx(0.5)
