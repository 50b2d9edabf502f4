import threading

import pytest

from lookalike_kit import calls
from lookalike_kit.errors import CallerGone


def test_outside_a_call_there_is_no_id_and_no_wait():
    assert calls.request_id() == ""
    assert calls.admission_micros() == 0
    assert calls.pressure() == 0.0
    calls.check_caller()


def test_a_thread_knows_only_its_own_call():
    calls.admitted(1500, 0.5)
    calls.begin([("x-request-id", "order-17")])
    seen = []
    other = threading.Thread(target=lambda: seen.append(calls.request_id()))
    other.start()
    other.join()

    assert (calls.request_id(), calls.admission_micros(), seen) == ("order-17", 1500, [""])
    assert calls.pressure() == 0.5
    calls.end()
    assert calls.pressure() == 0.0
    assert (calls.request_id(), calls.admission_micros()) == ("", 0)


def test_what_is_carried_to_another_thread_knows_the_call_and_leaves_nothing_there():
    seen = []
    calls.begin([("x-request-id", "order-17")])
    as_call = calls.carrier()
    calls.end()

    def other():
        as_call(lambda: seen.append(calls.request_id()))
        seen.append(calls.request_id())

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()

    assert seen == ["order-17", ""]


def test_work_ends_once_nobody_waits_for_it():
    waiting = [True]
    calls.begin([], lambda: waiting[0])

    calls.check_caller()
    waiting[0] = False
    with pytest.raises(CallerGone):
        calls.check_caller()
    calls.end()
    calls.check_caller()


def test_work_for_several_calls_ends_once_nobody_waits_for_any():
    first, second = [True], [True]
    calls.begin([], lambda: first[0])

    with calls.awaited_by([calls.awaited(), lambda: second[0]]):
        first[0] = False
        calls.check_caller()
        second[0] = False
        with pytest.raises(CallerGone):
            calls.check_caller()
    second[0] = True
    with pytest.raises(CallerGone):
        calls.check_caller()
    calls.end()


def test_an_id_is_made_where_none_is_given():
    first, second = calls.begin([]), calls.begin([("x-request-id", b"bytes")])
    calls.end()

    assert first
    assert second
    assert first != second
