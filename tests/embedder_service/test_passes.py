import gc
import weakref

import numpy as np
import pytest

from embedder_service.pace import Pace
from embedder_service.passes import Passes
from embedder_service.pending import ForwardFailed, PendingCall, give_up
from embedder_service.trouble import DeviceFailed

NO_MEMORY = RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB.")


class Watched:
    """The device and the observer: an image is its number, and a pass of more than `fits` fails."""

    def __init__(self) -> None:
        self.answer = self.embed
        self.now = 0.0
        self.fits = 8
        self.bad: dict[int, Exception] = {}
        self.tried: list[list[int]] = []
        self.troubles: list[str] = []
        self.passes = Passes(
            lambda batch: lambda: self.answer(batch),
            Pace(1, 8, 8),
            self,
            lambda: self.now,
            stuck_seconds=30,
        )

    def embed(self, batch: np.ndarray) -> np.ndarray:
        numbers = [int(number) for number in batch[:, 0, 0, 0]]
        self.tried.append(numbers)
        if len(numbers) > self.fits:
            raise NO_MEMORY
        for number in numbers:
            if number in self.bad:
                raise self.bad[number]
        return np.array([[number] for number in numbers], np.float32)

    def batch(self, *_: object) -> None: ...

    def trouble(self, kind: str) -> None:
        self.troubles.append(kind)

    def forward(self, *calls: PendingCall) -> None:
        self.passes.start([call.take(100, self.now) for call in calls])
        self.passes.finish()


@pytest.fixture
def watched() -> Watched:
    return Watched()


def call(*numbers: int, deadline: float | None = None) -> PendingCall:
    pixels = [np.full((3, 2, 2), number, np.uint8) for number in numbers]
    return PendingCall(pixels, deadline, 0.0)


def numbers(done: PendingCall) -> list[int]:
    return done.future.result(0).vectors[:, 0].astype(int).tolist()


def test_where_memory_runs_out_the_batch_goes_on_in_halves(watched):
    watched.fits = 3
    calls = [call(1), call(2, 3, 4, 5, 6), call(7, 8)]

    watched.forward(*calls)

    assert [numbers(each) for each in calls] == [[1], [2, 3, 4, 5, 6], [7, 8]]
    assert watched.tried == [
        [1, 2, 3, 4, 5, 6, 7, 8],
        [1, 2, 3, 4], [1, 2], [3, 4],
        [5, 6, 7, 8], [5, 6], [7, 8],
    ]  # fmt: skip
    assert watched.passes.room == 2
    assert watched.troubles == ["out_of_memory"] * 3


def test_the_smaller_batch_is_kept_for_a_minute(watched):
    watched.fits = 4
    watched.forward(call(*range(8)))
    assert watched.passes.room == 4

    watched.now += 60
    assert watched.passes.room == 8


def test_an_image_that_does_not_fit_alone_fails_alone(watched):
    watched.bad[3] = MemoryError()
    calls = [call(1, 2), call(3), call(4)]

    watched.forward(*calls)

    assert numbers(calls[0]) == [1, 2]
    assert numbers(calls[2]) == [4]
    assert isinstance(calls[1].future.exception(0), DeviceFailed)
    watched.forward(call(3))  # and the batch before it counted as one that came back


def test_a_device_without_memory_for_anything_is_given_up(watched):
    watched.fits = 0
    watched.forward(call(1))

    with pytest.raises(DeviceFailed):
        watched.forward(call(2))


def test_who_left_or_came_too_late_is_not_tried_again_after_memory_ran_out(watched):
    watched.fits = 2
    gone, late, there = call(1, 2), call(3, 4, deadline=5.0), call(5, 6)
    embed = watched.embed

    def leaving(batch: np.ndarray) -> np.ndarray:
        give_up(gone.future)
        watched.now = 6.0
        return embed(batch)

    watched.answer = leaving
    watched.forward(gone, late, there)

    assert watched.tried == [[1, 2, 3, 4, 5, 6], [5, 6]]
    assert numbers(there) == [5, 6]


def test_an_error_that_outlives_its_batch_gives_the_device_up_at_once(watched):
    watched.bad[1] = RuntimeError("CUDA error: an illegal memory access was encountered")

    with pytest.raises(DeviceFailed, match="illegal memory access"):
        watched.forward(call(1))


def test_one_failed_batch_between_good_ones_is_its_own_misfortune(watched):
    watched.bad[9] = RuntimeError("a kernel that fails")
    for _ in range(3):
        failed, fine = call(9), call(1)
        watched.forward(failed)
        watched.forward(fine)
        assert isinstance(failed.future.exception(0), ForwardFailed)
        assert numbers(fine) == [1]


def test_vectors_that_are_not_finite_never_leave_and_are_no_fault_of_the_device(watched):
    watched.answer = lambda batch: np.array([[np.nan], [1.0]], np.float32)
    for _ in range(3):
        calls = [call(1), call(2)]
        watched.forward(*calls)
        assert isinstance(calls[0].future.exception(0), ForwardFailed)
        assert numbers(calls[1]) == [1]


def test_the_memory_of_a_pass_that_failed_is_free_before_the_next_try(watched):
    held: list[weakref.ref[np.ndarray]] = []

    def hungry(batch: np.ndarray) -> np.ndarray:
        activations = np.zeros(10)  # kept alive by the frames of the error
        if len(batch) > 1:
            held.append(weakref.ref(activations))
            raise MemoryError
        assert all(each() is None for each in held)
        return np.zeros((1, 1), np.float32)

    watched.answer = hungry
    gc.disable()
    try:
        asked = call(1, 2, 3, 4)
        watched.forward(asked)
    finally:
        gc.enable()

    assert len(numbers(asked)) == 4


def test_a_pass_is_stuck_after_ten_times_its_prediction_and_the_floor(watched):
    seen: list[bool] = []

    def slow(batch: np.ndarray) -> np.ndarray:
        for seconds in (0.0, 49.9, 50.0):  # 2 images: 2 s by prediction
            watched.now = seconds
            seen.append(watched.passes.is_stuck)
        return np.zeros((len(batch), 1), np.float32)

    watched.answer = slow
    watched.forward(call(1, 2))

    assert seen == [False, False, True]
    assert not watched.passes.is_stuck
