import threading
import time

import pytest

from embedder_service.turns import Turns
from lookalike_kit.errors import ShuttingDown


def alive(name: str) -> int:
    return sum(thread.name == name for thread in threading.enumerate())


def test_online_goes_before_bulk_and_each_in_the_order_of_coming():
    turns, first, done = Turns("order", 1), threading.Event(), []
    turns.put(lambda: first.wait(20), bulk=False)
    for number, bulk in enumerate([True, False, True, False]):
        turns.put(lambda number=number: done.append(number), bulk)
    turns.stop()
    first.set()
    until_ended("order")

    assert done == [1, 3, 0, 2]


def test_every_turn_is_taken_once_whichever_thread_takes_it():
    turns, done = Turns("many", 4), []
    for number in range(2000):
        turns.put(lambda number=number: done.append(number), bulk=number % 3 == 0)
    turns.stop()
    until_ended("many")

    assert sorted(done) == list(range(2000))


def test_after_a_stop_nothing_is_taken_and_no_thread_is_left():
    turns = Turns("stopped", 3)
    assert alive("stopped") == 3
    turns.stop()
    until_ended("stopped")

    with pytest.raises(ShuttingDown):
        turns.put(lambda: None, bulk=False)


def until_ended(name: str) -> None:
    end = time.monotonic() + 20
    while alive(name):
        assert time.monotonic() < end
        time.sleep(0.002)
