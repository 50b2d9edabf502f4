import threading

from lookalike_kit import calls


def test_outside_a_call_there_is_no_id_and_no_wait():
    assert calls.request_id() == ""
    assert calls.admission_micros() == 0


def test_a_thread_knows_only_its_own_call():
    calls.admitted(1500)
    calls.begin([("x-request-id", "order-17")])
    seen = []
    other = threading.Thread(target=lambda: seen.append(calls.request_id()))
    other.start()
    other.join()

    assert (calls.request_id(), calls.admission_micros(), seen) == ("order-17", 1500, [""])
    calls.end()
    assert (calls.request_id(), calls.admission_micros()) == ("", 0)


def test_an_id_is_made_where_none_is_given():
    first, second = calls.begin([]), calls.begin([("x-request-id", b"bytes")])
    calls.end()

    assert first
    assert second
    assert first != second
