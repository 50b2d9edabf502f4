"""Who gets a place that falls free."""

import queue
import threading

import pytest

from lookalike_kit.errors import Expired
from lookalike_kit.places import Places
from tests.waiting import until


class Callers:
    """Threads that wait for places, and in which order they got them."""

    def __init__(self, places: Places) -> None:
        self.served: queue.Queue[str] = queue.Queue()
        self._places = places
        self._waiting = 0

    def wait(self, *names: str) -> None:
        """Each comes after the one before waits."""
        for name in names:
            threading.Thread(target=self._take, args=(name,), daemon=True).start()
            self._waiting += 1
            until(lambda: self._places.pressure == self._waiting / 16)

    def _take(self, name: str) -> None:
        assert self._places.take(name, 20)
        self.served.put(name)


def test_a_free_place_is_for_whoever_comes():
    places = Places(running=2, max_waiting=0)

    assert [places.take("shop", 0) for _ in range(3)] == [True, True, False]
    places.leave("shop")
    assert places.take("depot", 0)


def test_a_place_goes_to_the_caller_with_the_fewest():
    places = Places(running=2, max_waiting=16)
    callers = Callers(places)
    for _ in range(2):
        places.take("greedy", 0)
    callers.wait("greedy", "greedy", "shop", "depot", "shop")

    order = []
    for caller in ("greedy", "shop", "depot", "shop", "greedy"):
        places.leave(caller)
        order.append(callers.served.get(timeout=20))

    assert order == ["shop", "depot", "shop", "greedy", "greedy"]
    assert places.pressure == 0


def test_without_names_places_go_by_the_order_of_coming():
    places = Places(running=1, max_waiting=16)
    waiting = [threading.Thread(target=places.take, args=("", 20)) for _ in range(3)]
    places.take("", 0)
    for number, thread in enumerate(waiting, 1):
        thread.start()
        until(lambda: places.pressure == number / 16)  # noqa: B023

    for thread in waiting:
        places.leave("")
        thread.join(timeout=20)
        assert not thread.is_alive()


def test_who_waited_in_vain_takes_no_turn():
    places = Places(running=1, max_waiting=16)
    callers = Callers(places)
    places.take("greedy", 0)
    with pytest.raises(Expired):
        places.take("shop", 0.01)
    callers.wait("depot")

    places.leave("greedy")

    assert callers.served.get(timeout=20) == "depot"
    places.leave("depot")
    assert places.take("shop", 0)
