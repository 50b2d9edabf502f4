"""What grpc.server asks of a pool of threads, and what becomes of them."""

import threading

import pytest

from lookalike_kit.admission import MAX_READING, AdmissionPool, Carried, Unobserved
from tests.waiting import until


@pytest.fixture
def pool():
    pool = AdmissionPool(2, 1, Unobserved())
    yield pool
    pool.close()


class Told:
    def __init__(self):
        self.times = 0

    def __call__(self, _):
        self.times += 1


def test_the_end_of_a_call_is_told_whether_it_is_asked_for_before_or_after(pool):
    go, before, after = threading.Event(), Told(), Told()

    call = pool.submit(go.wait, 20)
    call.add_done_callback(before)
    assert (before.times, pool.in_flight) == (0, 1)
    go.set()
    until(lambda: before.times)
    call.add_done_callback(after)

    assert (before.times, after.times, pool.in_flight) == (1, 1, 0)


def test_each_callback_is_told_once_however_the_end_and_the_asking_meet():
    for _ in range(300):
        call, told = Carried(), [Told() for _ in range(8)]
        start = threading.Barrier(3)

        def ask(some, call=call, start=start):
            start.wait()
            for each in some:
                call.add_done_callback(each)

        def end(call=call, start=start):
            start.wait()
            call.end()

        threads = [
            threading.Thread(target=ask, args=(told[:4],)),
            threading.Thread(target=ask, args=(told[4:],)),
            threading.Thread(target=end),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert [each.times for each in told] == [1] * 8


def test_there_are_as_many_threads_as_calls_at_once_and_no_more_than_may_be(pool):
    for _ in range(50):
        told = Told()
        pool.submit(int).add_done_callback(told)
        until(lambda told=told: told.times)
    few = len(pool._threads)

    go, most = threading.Event(), 3 + MAX_READING
    calls = [pool.submit(go.wait, 20) for _ in range(most + 10)]
    many = len(pool._threads)
    ended = Told()
    go.set()
    for call in calls:
        call.add_done_callback(ended)
    until(lambda: ended.times == most + 10)

    assert few <= 2
    assert many == most


def test_what_raises_ends_its_call_and_not_its_thread(pool):
    def fail():
        raise ValueError("never mind")

    for _ in range(3):
        told = Told()
        pool.submit(fail).add_done_callback(told)
        until(lambda told=told: told.times)

    assert pool.in_flight == 0
    assert all(thread.is_alive() for thread in pool._threads)


def test_after_its_close_it_takes_nothing_and_ends_with_what_it_has(pool):
    go, ended = threading.Event(), Told()
    for _ in range(4):
        pool.submit(go.wait, 20).add_done_callback(ended)

    pool.close()
    with pytest.raises(RuntimeError, match="closed"):
        pool.submit(int)
    go.set()
    pool.join()

    assert ended.times == 4
    assert not any(thread.is_alive() for thread in pool._threads)
