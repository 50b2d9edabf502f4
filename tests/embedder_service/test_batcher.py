import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedder_service.batcher import Batcher
from embedder_service.pace import Pace
from embedder_service.pending import (
    DeadlineTooShort,
    Embedded,
    ForwardFailed,
    Wait,
    give_up,
)
from embedder_service.trouble import DeviceFailed
from lookalike_kit.errors import CallerGone, Overloaded, ShuttingDown

SOON = 10  # seconds until a future that should be settled is one that is lost


def image(value: int) -> np.ndarray:
    return np.full((3, 2, 2), value, np.uint8)


def images(*values: int) -> list[np.ndarray]:
    return [image(value) for value in values]


class Device:
    """A model whose vector is the image's value. It can be held, and told to fail."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.failing: Callable[[list[int]], bool] = lambda _: False
        self.entered = threading.Semaphore(0)
        self.free = threading.Event()
        self.free.set()

    def embed(self, batch: np.ndarray) -> np.ndarray:
        values = [int(value) for value in batch[:, 0, 0, 0]]
        self.batches.append(values)
        self.entered.release()
        assert self.free.wait(SOON)
        if self.failing(values):
            raise RuntimeError("a kernel that fails")
        return np.array([[value, 1] for value in values], np.float32)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Batches:
    """The observer: what it was told."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, list[float], float]] = []
        self.troubles: list[str] = []

    def batch(self, images: int, waits: Sequence[Wait], forward_seconds: float) -> None:
        self.seen.append((images, [wait.seconds for wait in waits], forward_seconds))

    def trouble(self, kind: str) -> None:
        self.troubles.append(kind)


class Bench:
    """A batcher of at most 4 images a batch, 1 s each, over a device and a clock of its own."""

    def __init__(self) -> None:
        self.device, self.clock, self.observer = Device(), Clock(), Batches()
        pace = Pace(one_seconds=1.0, full_seconds=4.0, max_batch=4)
        self.lost = threading.Event()
        self.batcher = Batcher(
            self.device.embed,
            pace,
            16,
            self.observer,
            self.clock,
            stuck_seconds=30,
            on_lost=self.lost.set,
        )

    def submit(self, *values: int, **options: object) -> Future[Embedded]:
        return self.batcher.submit(images(*values), **options)

    @contextmanager
    def busy(self) -> Iterator[Future[Embedded]]:
        """The device works at one image, 0, until the block ends."""
        self.device.free.clear()
        first = self.submit(0)
        assert self.device.entered.acquire(timeout=SOON)
        try:
            yield first
        finally:
            self.device.free.set()


@contextmanager
def started() -> Iterator[Bench]:
    bench = Bench()
    bench.batcher.start()
    try:
        yield bench
    finally:
        bench.device.free.set()
        bench.batcher.stop()


@pytest.fixture
def bench() -> Iterator[Bench]:
    with started() as bench:
        yield bench


def values(future: Future[Embedded]) -> list[int]:
    return [int(vector[0]) for vector in future.result(SOON).vectors]


def test_a_lone_image_goes_at_once(bench):
    assert values(bench.submit(7)) == [7]
    assert bench.device.batches == [[7]]


def test_what_waits_while_the_device_is_busy_shares_the_next_batch(bench):
    with bench.busy():
        waiting = [bench.submit(1), bench.submit(2, 3)]

    assert [values(future) for future in waiting] == [[1], [2, 3]]
    assert bench.device.batches == [[0], [1, 2, 3]]


def test_a_call_larger_than_a_batch_comes_back_in_its_order(bench):
    assert values(bench.submit(*range(10))) == list(range(10))
    assert bench.device.batches == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_online_goes_before_bulk_that_came_earlier(bench):
    with bench.busy():
        bulk = bench.submit(1, 2, 3, bulk=True)
        online = bench.submit(4, 5)

    assert values(bulk) == [1, 2, 3]
    assert values(online) == [4, 5]
    assert bench.device.batches == [[0], [4, 5, 1, 2], [3]]


def test_a_full_queue_refuses_at_once_and_says_when_to_come_back(bench):
    with bench.busy():
        accepted = bench.submit(*range(16))
        with pytest.raises(Overloaded, match=r"at most 16 to wait .* 16 that wait") as error:
            bench.submit(99)

    assert error.value.retry_after_seconds == pytest.approx(16.0)
    assert values(accepted) == list(range(16))


def test_bulk_leaves_half_of_the_queue_to_others(bench):
    with bench.busy():
        bench.submit(*range(8), bulk=True)
        with pytest.raises(Overloaded, match="at most 8"):
            bench.submit(9, bulk=True)
        assert bench.batcher.waiting(bulk=True) == 8
        online = bench.submit(10)

    assert values(online) == [10]


def test_an_empty_queue_takes_a_call_of_any_size(bench):
    assert values(bench.submit(*range(40))) == list(range(40))


def test_a_deadline_before_the_predicted_finish_is_refused_at_once(bench):
    now = bench.clock.now
    with bench.busy():  # until 1 s from now, by the prediction
        bench.submit(1, 2, 3)
        with pytest.raises(DeadlineTooShort) as error:
            bench.submit(4, 5, deadline=now + 5.5)
        in_time = bench.submit(4, 5, deadline=now + 7)

    assert error.value.message == "deadline: expected at least 6.500 s for 2 images, got 5.500 s"
    assert error.value.metadata == {"predicted_ms": "6500"}
    assert values(in_time) == [4, 5]


def test_an_idle_device_tries_what_a_bad_hour_would_refuse(bench):
    for _ in range(5):
        with bench.busy() as slow:
            bench.clock.now += 50
        assert values(slow) == [0]
    with bench.busy(), pytest.raises(DeadlineTooShort):
        bench.submit(1, deadline=bench.clock.now + 3)

    while True:  # until the thread has seen that nothing waits
        try:
            tried = bench.submit(1, deadline=bench.clock.now + 1.5)
            break
        except DeadlineTooShort:
            continue
    assert values(tried) == [1]


def test_bulk_that_waits_does_not_count_against_an_online_deadline(bench):
    now = bench.clock.now
    with bench.busy():
        bench.submit(1, 2, 3, 4, 5, bulk=True)
        online = bench.submit(6, deadline=now + 2.5)
        with pytest.raises(DeadlineTooShort):
            bench.submit(7, deadline=now + 2.5, bulk=True)

    assert values(online) == [6]


def test_what_expires_in_the_queue_never_reaches_the_device(bench):
    with bench.busy():
        late = bench.submit(1, deadline=bench.clock.now + 5)
        other = bench.submit(2)
        bench.clock.now += 6

    assert values(other) == [2]
    assert isinstance(late.exception(SOON), DeadlineTooShort)
    assert bench.device.batches == [[0], [2]]


def test_what_its_caller_gave_up_never_reaches_the_device_and_frees_its_place(bench):
    with bench.busy():
        gone = bench.submit(*range(1, 17))
        give_up(gone)
        other = bench.submit(20)

    assert values(other) == [20]
    assert isinstance(gone.exception(SOON), CallerGone)
    assert bench.device.batches == [[0], [20]]


def test_a_caller_that_leaves_between_two_batches_wastes_the_first_only(bench):
    bench.device.free.clear()
    gone = bench.submit(*range(10))
    assert bench.device.entered.acquire(timeout=SOON)
    give_up(gone)
    bench.device.free.set()

    assert values(bench.submit(50)) == [50]
    assert bench.device.batches == [[0, 1, 2, 3], [50]]


def test_a_batch_that_fails_takes_only_its_own_calls_along(bench):
    bench.device.failing = lambda batch: 3 in batch
    with bench.busy() as first:
        split = bench.submit(1, 2, 3, 4, 5)  # [1 2 3 4] fails; [5] is not tried

    failed = split.exception(SOON)
    after = bench.submit(6)

    assert isinstance(failed, ForwardFailed)
    assert values(first) == [0]
    assert values(after) == [6]
    assert [5] not in bench.device.batches


def test_a_model_that_loses_an_image_fails_its_batch():
    observer = Batches()
    batcher = Batcher(lambda batch: np.zeros((1, 2), np.float32), Pace(1, 1, 4), 16, observer)
    batcher.start()
    failed = batcher.submit(images(1, 2)).exception(SOON)
    batcher.stop()

    assert isinstance(failed, ForwardFailed)
    assert observer.seen == []


def test_an_observer_that_fails_ends_neither_the_call_nor_the_thread(bench):
    bench.observer.seen = None

    for value in (1, 2):
        assert bench.submit(value).result(SOON).vectors[0, 0] == value


def test_stopping_finishes_the_batch_at_hand_and_refuses_the_rest(bench):
    stopper = threading.Thread(target=bench.batcher.stop)
    with bench.busy() as first:
        waiting = bench.submit(1)
        stopper.start()
        while True:  # until the stop is seen
            try:
                give_up(bench.submit(2))
            except ShuttingDown:
                break
    stopper.join(SOON)

    assert not stopper.is_alive()
    assert values(first) == [0]
    assert isinstance(waiting.exception(SOON), ShuttingDown)


def test_the_observer_hears_of_sizes_and_waits(bench):
    with bench.busy():
        bench.submit(1)
        bench.clock.now += 2
        last = bench.submit(2)
        bench.clock.now += 1
    embedded = last.result(SOON)
    bench.batcher.stop()

    assert bench.observer.seen == [(1, [0], 3.0), (2, [3.0, 1.0], 0)]
    assert embedded.queue_seconds == 1.0
    assert embedded.forward_seconds == 0


CALLS = st.lists(
    st.tuples(
        st.integers(1, 9),  # images
        st.booleans(),  # bulk
        st.sampled_from(["wait", "give up", "expire"]),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(calls=CALLS, broken=st.integers(0, 40))
def test_every_call_ends_once_with_its_own_vectors_or_a_reason(calls, broken):
    submitted: list[tuple[list[int], Future[Embedded], str]] = []
    refused = 0
    number = 0
    with started() as bench:
        bench.device.failing = lambda batch: broken in batch
        with bench.busy():
            for count, bulk, fate in calls:
                wanted = [number + n + 1 for n in range(count)]
                number += count
                deadline = bench.clock.now + 1000 if fate == "expire" else None
                try:
                    future = bench.submit(*wanted, bulk=bulk, deadline=deadline)
                except Overloaded:
                    refused += 1
                    continue
                submitted.append((wanted, future, fate))
                if fate == "give up":
                    give_up(future)
            bench.clock.now += 2000
        outcomes = [future.exception(SOON) for _, future, _ in submitted]

    ran = [value for batch in bench.device.batches for value in batch]
    assert len(submitted) + refused == len(calls)
    assert len(ran) == len(set(ran))
    assert all(len(batch) <= 4 for batch in bench.device.batches)
    for (wanted, future, fate), outcome in zip(submitted, outcomes, strict=True):
        if fate == "wait":
            assert isinstance(outcome, ForwardFailed) or values(future) == wanted
            assert outcome is None or any(broken in batch for batch in bench.device.batches)
        else:
            assert isinstance(outcome, CallerGone if fate == "give up" else DeadlineTooShort)
            assert not set(wanted) & set(ran)


def test_many_threads_get_their_own_vectors(bench):
    wrong: list[list[int]] = []

    def call(number: int) -> None:
        for turn in range(20):
            wanted = [(number * 20 + turn) % 256, number]
            if values(bench.submit(*wanted)) != wanted:
                wrong.append(wanted)

    threads = [threading.Thread(target=call, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON)

    assert wrong == []
    assert sum(map(len, bench.device.batches)) == 8 * 20 * 2


def test_two_failed_batches_in_a_row_end_it_and_every_call_is_told(bench):
    bench.device.failing = lambda batch: batch != [0]
    with bench.busy() as first:
        alone = bench.submit(1, 2, 3, 4)
        same = bench.submit(5)
        waiting = bench.submit(6, 7, 8, 9)

    assert values(first) == [0]
    assert isinstance(alone.exception(SOON), ForwardFailed)
    assert isinstance(same.exception(SOON), DeviceFailed)
    assert isinstance(waiting.exception(SOON), DeviceFailed)
    assert bench.lost.wait(SOON)
    with pytest.raises(DeviceFailed, match="this replica ends"):
        bench.submit(10)
    assert bench.observer.troubles == ["error", "error", "lost"]


def test_a_device_that_does_not_come_back_is_given_up_and_nobody_waits_for_it(bench):
    with bench.busy() as hanging:  # 1 s by prediction: stuck after 10 s and 30 s more
        waiting = bench.submit(1)
        bench.clock.now += 39
        bench.batcher.end_if_stuck()
        assert not hanging.done()
        bench.clock.now += 2
        assert bench.lost.wait(SOON)  # the watch sees it by itself

        outcomes = [hanging.exception(SOON), waiting.exception(SOON)]
        bench.batcher.stop()

    assert [type(outcome) for outcome in outcomes] == [DeviceFailed, DeviceFailed]
    assert bench.observer.troubles == ["stuck"]


def test_a_device_that_is_stuck_while_it_stops_ends_the_stop(bench):
    with bench.busy() as hanging:
        stopper = threading.Thread(target=bench.batcher.stop)
        stopper.start()
        bench.clock.now += 50
        stopper.join(SOON)
        assert not stopper.is_alive()

    assert isinstance(hanging.exception(SOON), DeviceFailed)


def test_no_thread_is_left_after_a_stop():
    with started() as bench:
        bench.submit(1).result(SOON)

    left = {thread.name for thread in threading.enumerate()}
    assert not left & {"model", "model-watch"}


def test_places_keep_room_for_what_is_still_being_read(bench):
    with bench.batcher.reserve(10) as places:
        with pytest.raises(Overloaded, match=r"got 10 that wait and 7 that came"):
            bench.submit(*range(7))
        future = places.submit(images(1, 2))  # eight were broken files

    assert values(future) == [1, 2]
    assert values(bench.submit(*range(16))) == list(range(16))


def test_places_that_are_not_used_are_given_back(bench):
    with pytest.raises(KeyError), bench.batcher.reserve(16):
        raise KeyError

    with bench.batcher.reserve(16):
        pass


def test_places_are_given_back_once_whoever_gives_them_back(bench):
    """The thread that read a call's images, and the call's own, which its caller has left."""
    with bench.batcher.reserve(8) as places:
        both = [threading.Thread(target=places.close) for _ in range(2)]
        with bench.batcher._changed:
            for thread in both:
                thread.start()
            time.sleep(0.05)  # both are at the lock
        for thread in both:
            thread.join()

    with bench.batcher.reserve(16), pytest.raises(Overloaded, match="got 16 that wait"):
        bench.submit(1)


def test_the_time_that_reading_takes_counts_against_the_deadline(bench):
    soon = bench.clock.now + 5
    with pytest.raises(DeadlineTooShort, match=r"expected at least 6\.000 s for 2 images"):
        bench.batcher.reserve(2, soon, reading_seconds=4)
    with bench.batcher.reserve(2, soon, reading_seconds=3):
        pass


def test_places_are_worth_nothing_once_the_batcher_has_stopped(bench):
    with bench.batcher.reserve(1) as places:
        bench.batcher.stop()
        with pytest.raises(ShuttingDown):
            places.submit(images(1))


def test_a_batch_ends_before_the_image_that_would_make_another_in_it_late(bench):
    with bench.busy():
        promised = bench.submit(1, deadline=bench.clock.now + 2.2)
        others = bench.submit(2, 3, 4)

    assert values(promised) == [1]
    assert values(others) == [2, 3, 4]
    assert bench.device.batches == [[0], [1], [2, 3, 4]]


def test_what_cannot_be_answered_in_time_any_more_is_not_begun(bench):
    with bench.busy():
        late = bench.submit(1, deadline=bench.clock.now + 2.2)
        bench.clock.now += 1.5

    assert isinstance(late.exception(SOON), DeadlineTooShort)
    assert values(bench.submit(2)) == [2]
    assert bench.device.batches == [[0], [2]]
