"""Two batches on a device that computes by itself: a batcher that a test steps."""

from collections.abc import Callable
from concurrent.futures import Future

import numpy as np
import pytest

from embedder_service.batcher import Batcher
from embedder_service.pace import Pace
from embedder_service.pending import DeadlineTooShort, Embedded
from embedder_service.trouble import DeviceFailed
from lookalike_kit.errors import ShuttingDown

MAX_BATCH = 4


class Bench:
    """Four images a batch, a second an image. An image is its number, as is its vector."""

    def __init__(self) -> None:
        self.now = 100.0
        self.fits = MAX_BATCH
        self.events: list[tuple[str, list[int]]] = []
        self.while_landing: Callable[[list[int]], None] = lambda _: None
        self.lost = 0
        self.batcher = Batcher(
            self.embed,
            Pace(1.0, 4.0, MAX_BATCH),
            64,
            self,
            lambda: self.now,
            stuck_seconds=30,
            on_lost=self.count_lost,
            launch=self.launch,
        )

    def embed(self, batch: np.ndarray) -> np.ndarray:
        raise AssertionError("it is to be launched")

    def launch(self, batch: np.ndarray) -> Callable[[], np.ndarray]:
        numbers = batch[:, 0, 0, 0].tolist()
        self.events.append(("begun", numbers))

        def land() -> np.ndarray:
            self.while_landing(numbers)
            self.events.append(("landed", numbers))
            self.now += len(numbers)
            if len(numbers) > self.fits:
                raise MemoryError
            return np.array([[number] for number in numbers], np.float32)

        return land

    def submit(self, *numbers: int, bulk: bool = False) -> Future[Embedded]:
        return self.batcher.submit([np.full((3, 2, 2), n, np.uint8) for n in numbers], bulk=bulk)

    def batch(self, *_: object) -> None: ...

    def trouble(self, kind: str) -> None: ...

    def count_lost(self) -> None:
        self.lost += 1


@pytest.fixture
def bench() -> Bench:
    return Bench()


def numbers(future: Future[Embedded]) -> list[int]:
    return future.result(0).vectors[:, 0].astype(int).tolist()


def test_a_full_batch_begins_while_another_computes_and_they_land_in_their_order(bench):
    asked = [bench.submit(*range(first, first + 4)) for first in (0, 4, 8)]

    for _ in asked:
        bench.batcher.forward_waiting()

    assert [numbers(each) for each in asked] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    assert [kind for kind, _ in bench.events] == [
        "begun", "begun", "landed", "begun", "landed", "landed",
    ]  # fmt: skip


def test_a_batch_that_is_not_full_waits_for_the_device_and_grows(bench):
    bench.submit(0, 1, 2, 3)
    bench.submit(4, 5, 6)
    bench.while_landing = lambda landing: bench.submit(7) if landing == [0, 1, 2, 3] else None

    bench.batcher.forward_waiting()
    bench.batcher.forward_waiting()

    assert bench.events == [
        ("begun", [0, 1, 2, 3]),
        ("landed", [0, 1, 2, 3]),
        ("begun", [4, 5, 6, 7]),
        ("landed", [4, 5, 6, 7]),
    ]


@pytest.mark.parametrize(("online", "begun"), [(0, 2), (1, 1)])
def test_bulk_goes_early_only_where_no_online_image_is_on_its_way(bench, online, begun):
    bench.submit(*range(8), bulk=True)
    bench.batcher.reserve(online)

    bench.batcher.forward_waiting()

    assert sum(kind == "begun" for kind, _ in bench.events) == begun


def test_a_deadline_is_held_against_all_that_is_on_the_device(bench):
    bench.submit(*range(8))
    told: list[str] = []

    def late(_: list[int]) -> None:
        for seconds in (9.0, 9.2):  # 8 s of two batches, and 1.1 of its own
            try:
                bench.batcher.reserve(1, deadline=bench.now + seconds).close()
            except DeadlineTooShort as error:
                told.append(error.message)
        bench.while_landing = lambda _: None

    bench.while_landing = late
    bench.batcher.forward_waiting()

    assert told == ["deadline: expected at least 9.100 s for 1 images, got 9.000 s"]


def test_waiting_behind_another_batch_is_waiting_and_not_computing(bench):
    first, second = bench.submit(0, 1, 2, 3), bench.submit(4, 5, 6, 7)

    bench.batcher.forward_waiting()
    bench.batcher.forward_waiting()

    assert [each.result(0).queue_seconds for each in (first, second)] == [0, 4]
    assert [each.result(0).forward_seconds for each in (first, second)] == [4, 4]


def test_where_memory_runs_out_both_batches_come_back_whole(bench):
    asked = [bench.submit(*range(first, first + 4)) for first in (0, 4)]
    bench.fits = 2

    bench.batcher.forward_waiting()
    bench.batcher.forward_waiting()

    assert [numbers(each) for each in asked] == [[0, 1, 2, 3], [4, 5, 6, 7]]


def lose(bench: Bench) -> None:
    raise RuntimeError("CUDA error: an illegal memory access was encountered")


def hang(bench: Bench) -> None:
    bench.now += 109  # of the 110 that both may take: ten times 8 s, and 30
    bench.batcher.end_if_stuck()
    assert bench.lost == 0
    bench.now += 2
    bench.batcher.end_if_stuck()


@pytest.mark.parametrize("fail", [lose, hang])
def test_a_device_that_is_lost_or_stuck_takes_both_along(bench, fail):
    first, second = bench.submit(0, 1, 2, 3), bench.submit(4, 5, 6, 7)
    bench.while_landing = lambda _: fail(bench)

    bench.batcher.forward_waiting()

    for each in (first, second):
        assert isinstance(each.exception(0), DeviceFailed)
    assert bench.lost == 1


def test_a_stop_finishes_both_and_refuses_the_rest(bench):
    first, second, third = (bench.submit(*range(at, at + 4)) for at in (0, 4, 8))
    bench.while_landing = lambda _: bench.batcher.stop()

    bench.batcher.forward_waiting()
    bench.batcher.forward_waiting()

    assert numbers(first) == [0, 1, 2, 3]
    assert numbers(second) == [4, 5, 6, 7]
    assert isinstance(third.exception(0), ShuttingDown)
