import threading
import time

import pytest

from embedder_service.turns import Turns
from lookalike_kit.errors import ShuttingDown


def alive(name: str) -> int:
    return sum(thread.name == name for thread in threading.enumerate())


def test_online_goes_before_bulk_and_each_in_the_order_of_coming():
    first, done = threading.Event(), []
    turns = Turns("order", [lambda taken: (first.wait(20), done.extend(taken))])
    turns.put("first", bulk=False)
    for number, bulk in enumerate([True, False, True, False]):
        turns.put(number, bulk)
    turns.stop()
    first.set()
    until_ended("order")

    assert done == ["first", 1, 3, 0, 2]


def test_every_turn_is_taken_once_whichever_thread_takes_it():
    done = []
    turns = Turns("many", [done.extend] * 4, lambda: 8)
    for number in range(2000):
        turns.put(number, bulk=number % 3 == 0)
    turns.stop()
    until_ended("many")

    assert sorted(done) == list(range(2000))


def test_after_a_stop_nothing_is_taken_and_no_thread_is_left():
    turns = Turns("stopped", [list] * 3)
    assert alive("stopped") == 3
    turns.stop()
    until_ended("stopped")

    with pytest.raises(ShuttingDown):
        turns.put(1, bulk=False)


def test_a_thread_takes_its_share_of_what_waits_and_no_more_than_the_most():
    inside, leave, taken = threading.Semaphore(0), threading.Event(), []

    def work(turns):
        inside.release()
        leave.wait(20)
        taken.append(len(turns))

    turns = Turns("share", [work] * 2, lambda: 4)
    for _ in range(2):
        turns.put(0, bulk=False)
        assert inside.acquire(timeout=20)
    for number in range(30):
        turns.put(number, bulk=False)
    turns.stop()
    leave.set()
    until_ended("share")

    assert sum(taken) == 32
    assert max(taken) == 4


def test_online_and_bulk_are_not_taken_together_nor_what_is_to_be_alone():
    inside, leave, taken = threading.Event(), threading.Event(), []

    def work(turns):
        inside.set()
        leave.wait(20)
        taken.append(list(turns))

    turns = Turns("apart", [work], lambda: 8)
    turns.put("first", bulk=False)
    assert inside.wait(20)
    for turn, bulk, alone in (
        ("b1", True, False),
        ("o1", False, False),
        ("b2", True, False),
        ("o2", False, False),
        ("large", False, True),
        ("o3", False, False),
    ):
        turns.put(turn, bulk, alone)
    turns.stop()
    leave.set()
    until_ended("apart")

    assert taken == [["first"], ["o1", "o2"], ["large"], ["o3"], ["b1", "b2"]]


def until_ended(name: str) -> None:
    end = time.monotonic() + 20
    while alive(name):
        assert time.monotonic() < end
        time.sleep(0.002)
