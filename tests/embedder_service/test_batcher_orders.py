"""Whatever order things come in: a batcher that a test steps, under a clock that a test moves."""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    precondition,
    rule,
)

from embedder_service.batcher import Batcher, Places
from embedder_service.pace import Pace
from embedder_service.pending import DeadlineTooShort, Embedded, ForwardFailed, give_up
from embedder_service.trouble import DeviceFailed
from lookalike_kit.errors import CallerGone, Overloaded, ShuttingDown

MAX_BATCH = 4
MAX_QUEUE = 16
REASONS = (CallerGone, DeadlineTooShort, DeviceFailed, ForwardFailed, ShuttingDown)


@dataclass
class Asked:
    numbers: list[int]
    bulk: bool
    deadline: float | None
    future: Future[Embedded]
    settled: int = 0
    taken: set[int] = field(default_factory=set)

    def is_wanted(self, now: float) -> bool:
        return not self.future.done() and (self.deadline is None or now < self.deadline)


def was_late(asked: Asked) -> bool:
    return asked.future.done() and isinstance(asked.future.exception(), DeadlineTooShort)


def square(number: int) -> np.ndarray:
    return np.array([number % 256, number // 256, 0], np.uint8).reshape(3, 1, 1)


class Orders(RuleBasedStateMachine):
    """Submits, reservations, departures, deadlines, failures, lack of memory, hangs and the end."""

    most_in_flight = 1
    open_places = Bundle("open_places")

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.asked: list[Asked] = []
        self.next = 0
        self.reserved = 0
        self.fits = MAX_BATCH
        self.smaller_until = 0.0
        self.during: Callable[[], None] = lambda: None
        self.failing = False
        self.in_flight = 0
        self.lost = 0
        self.broken: AssertionError | None = None
        pace = Pace(1.0, 4.0, MAX_BATCH)
        self.batcher = Batcher(
            self.on_device, pace, MAX_QUEUE, self, lambda: self.now,
            stuck_seconds=30, on_lost=self.count_lost,
            launch=self.launch if self.most_in_flight > 1 else None,
        )  # fmt: skip

    # What the batcher is given.

    def batch(self, *_: object) -> None: ...

    def trouble(self, kind: str) -> None: ...

    def count_lost(self) -> None:
        self.lost += 1

    def on_device(self, batch: np.ndarray) -> np.ndarray:
        return self.launch(batch)()

    def launch(self, batch: np.ndarray) -> Callable[[], np.ndarray]:
        try:
            self.check(batch)
        except AssertionError as error:  # the batcher would take it for the device's
            self.broken = error
        self.in_flight += 1
        return lambda: self.answer(batch)

    def check(self, batch: np.ndarray) -> None:
        numbers = [int(low) + 256 * int(high) for low, high in batch[:, :2, 0, 0]]
        by_number = {number: asked for asked in self.asked for number in asked.numbers}
        assert 0 < len(numbers) <= MAX_BATCH
        assert all(by_number[number].is_wanted(self.now) for number in numbers)
        if all(number in by_number[number].taken for number in numbers):
            return  # a part of a batch that did not fit
        assert self.in_flight < self.most_in_flight
        expected = self.in_order()
        assert numbers == expected[: len(numbers)]
        in_haste = any(asked.deadline is not None for asked in self.asked if asked.is_wanted(0))
        if not in_haste and self.now >= self.smaller_until:
            # One that goes early is full, but for calls that are found to be late as it is made.
            is_early = self.in_flight and not any(map(was_late, self.asked))
            assert len(numbers) == (MAX_BATCH if is_early else min(MAX_BATCH, len(expected)))
        for number in numbers:
            by_number[number].taken.add(number)

    def answer(self, batch: np.ndarray) -> np.ndarray:
        self.in_flight -= 1
        self.during()
        if len(batch) > self.fits:
            self.smaller_until = self.now + 60
            raise MemoryError
        if self.failing:
            raise RuntimeError("a kernel that fails")
        return np.array(
            [[low + 256 * high, 1] for low, high in batch[:, :2, 0, 0].astype(int)], np.float32
        )

    # What may happen, in any order.

    @rule(count=st.integers(1, 9), bulk=st.booleans(), seconds=st.none() | st.integers(0, 40))
    def submit(self, count: int, bulk: bool, seconds: int | None) -> None:
        deadline = None if seconds is None else self.now + seconds
        numbers = self.numbers(count)
        try:
            future = self.batcher.submit([square(n) for n in numbers], deadline, bulk)
        except (Overloaded, DeadlineTooShort, ShuttingDown, DeviceFailed):
            return
        self.remember(numbers, bulk, deadline, future)

    @rule(target=open_places, count=st.integers(1, 9), bulk=st.booleans())
    def reserve(self, count: int, bulk: bool) -> tuple[Places, int] | None:
        try:
            places = self.batcher.reserve(count, None, bulk)
        except (Overloaded, ShuttingDown, DeviceFailed):
            return None
        self.reserved += count
        return places, count

    @rule(held=consumes(open_places), used=st.integers(0, 9))
    def use(self, held: tuple[Places, int] | None, used: int) -> None:
        if held is None:
            return
        places, count = held
        self.reserved -= count
        numbers = self.numbers(min(used, count))
        with places:
            if numbers:
                try:
                    future = places.submit([square(n) for n in numbers])
                except (ShuttingDown, DeviceFailed):
                    return
                self.remember(numbers, places.bulk, None, future)

    @precondition(lambda self: self.asked)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        give_up(data.draw(st.sampled_from(self.asked)).future)

    @rule(seconds=st.integers(1, 30))
    def pass_time(self, seconds: int) -> None:
        self.now += seconds

    @rule(
        fits=st.sampled_from([MAX_BATCH, MAX_BATCH, MAX_BATCH, 2, 1, 0]),
        failing=st.sampled_from([False, False, False, True]),
        meanwhile=st.sampled_from(["nothing", "leave", "submit", "time", "stop", "hang"]),
    )
    def go(self, fits: int, failing: bool, meanwhile: str) -> None:
        self.fits, self.failing = fits, failing
        self.during = {
            "nothing": lambda: None,
            "leave": lambda: [give_up(asked.future) for asked in self.asked[-2:]],
            "submit": lambda: self.submit(1, False, None),
            "time": lambda: self.pass_time(7),
            "stop": self.stop,
            "hang": self.hang,
        }[meanwhile]
        self.batcher.forward_waiting()

    @rule()
    def stop(self) -> None:
        if len(self.asked) > 6:  # not before something has happened
            self.batcher.stop()

    def hang(self) -> None:
        if len(self.asked) > 6:
            self.now += 100
            self.batcher.end_if_stuck()
            if not all(asked.future.done() for asked in self.asked):
                self.broken = AssertionError("a call waits for a device that is stuck")

    # What holds whatever happens.

    @invariant()
    def every_future_is_settled_once_at_most_and_rightly(self) -> None:
        for asked in self.asked:
            assert asked.settled == int(asked.future.done())
            if not asked.future.done():
                continue
            if (error := asked.future.exception()) is not None:
                assert isinstance(error, REASONS)
            else:
                assert asked.future.result().vectors[:, 0].tolist() == asked.numbers

    @invariant()
    def nothing_was_amiss_on_the_device(self) -> None:
        if self.broken is not None:
            raise self.broken

    @invariant()
    def the_line_is_never_longer_than_allowed(self) -> None:
        waiting = self.batcher.waiting(False) + self.batcher.waiting(True)
        assert waiting + self.reserved <= MAX_QUEUE
        assert self.lost <= 1

    def teardown(self) -> None:
        self.fits, self.failing, self.during = MAX_BATCH, False, lambda: None
        for _ in range(MAX_QUEUE):
            self.batcher.forward_waiting()
        assert self.batcher.waiting(False) == self.batcher.waiting(True) == 0
        self.batcher.stop()
        self.every_future_is_settled_once_at_most_and_rightly()
        assert all(asked.settled == 1 for asked in self.asked)

    # The model that it is compared with.

    def numbers(self, count: int) -> list[int]:
        self.next += count
        return list(range(self.next - count, self.next))

    def remember(
        self, numbers: list[int], bulk: bool, deadline: float | None, future: Future[Embedded]
    ) -> None:
        asked = Asked(numbers, bulk, deadline, future)
        self.asked.append(asked)

        def count(_: object) -> None:
            asked.settled += 1

        future.add_done_callback(count)

    def in_order(self) -> list[int]:
        wanted = [asked for asked in self.asked if asked.is_wanted(self.now)]
        return [
            number
            for bulk in (False, True)
            for asked in wanted
            if asked.bulk is bulk
            for number in asked.numbers
            if number not in asked.taken
        ]


class OrdersInTwoFlights(Orders):
    """The same on a device that has a second batch while it computes."""

    most_in_flight = 2


TestOrders = Orders.TestCase
TestOrdersInTwoFlights = OrdersInTwoFlights.TestCase
TestOrders.settings = TestOrdersInTwoFlights.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None
)
