"""A call that ends on its way, wherever it is: it is told, and leaves neither places nor bytes."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import pytest

from embedder_service.batcher import Batcher
from embedder_service.budget import ByteBudget
from embedder_service.images import Photo
from embedder_service.pace import Pace
from embedder_service.pipeline import Answer, Pipeline, any_may_fail
from lookalike_kit import calls
from lookalike_kit.errors import CallerGone, ShuttingDown

MAX_IMAGES, MAX_BYTES = 4, 1 << 20


class Unobserved:
    def batch(self, *_: object) -> None: ...
    def trouble(self, kind: str) -> None: ...
    def image(self, result: str) -> None: ...
    def answered(self, bulk: bool, seconds: float) -> None: ...


class Context:
    """A call's, as far as a pipeline asks."""

    is_here = True

    def time_remaining(self) -> None: ...

    def add_callback(self, callback: Callable[[], None]) -> bool:
        if not self.is_here:
            time.sleep(0.05)  # enough for the device to take what is queued
        return self.is_here

    def is_active(self) -> bool:
        return self.is_here


@dataclass
class Bench:
    """A pipeline whose first image is decoded as soon as it may `leave`."""

    pipeline: Pipeline
    batcher: Batcher
    budget: ByteBudget
    caller: ThreadPoolExecutor
    leave: threading.Event
    decoding: threading.Semaphore
    errors: list[Exception]
    passes: list[int] = field(default_factory=list)

    def embed(self, context: Context, *contents: bytes, **options: object) -> Future[Answer]:
        def call() -> Answer:
            calls.begin((), context.is_active)
            try:
                return self.pipeline.embed([*map(Photo, contents)], False, context, **options)
            finally:
                calls.end()

        return self.caller.submit(call)

    def is_free(self) -> bool:
        with self.budget.hold(1), self.budget.hold(MAX_BYTES - 1):
            pass
        with self.batcher.reserve(1), self.batcher.reserve(MAX_IMAGES - 1):
            return True


@pytest.fixture
def bench(readers) -> Iterator[Bench]:
    leave, decoding, errors, passes = threading.Event(), threading.Semaphore(0), [], []

    def observe(_: float) -> None:
        decoding.release()
        leave.wait(20)
        if errors:
            raise errors.pop()

    def embed(images: np.ndarray) -> np.ndarray:
        passes.append(len(images))
        return np.ones((len(images), 2), np.float32)

    batcher = Batcher(embed, Pace(0.1, 0.1, 4), MAX_IMAGES, Unobserved())
    batcher.start()
    budget = ByteBudget(MAX_BYTES)
    pipeline = Pipeline(readers(1, observe), batcher, budget, Unobserved())
    with ThreadPoolExecutor(1) as caller:
        yield Bench(pipeline, batcher, budget, caller, leave, decoding, errors, passes)
        leave.set()
    batcher.stop()


@pytest.fixture
def photo(picture, encode) -> bytes:
    return encode(picture, "JPEG")


def test_a_call_leaves_no_place_behind(bench, photo):
    bench.leave.set()
    answer = bench.embed(Context(), photo, b"text", photo).result(20)

    assert [len(answer.photos[at]) for at in (0, 2)] == [1, 1]
    assert bench.is_free()


def test_a_batcher_that_stops_while_images_are_read_ends_the_call(bench, photo):
    call = bench.embed(Context(), photo)
    assert bench.decoding.acquire(timeout=20)
    bench.batcher.stop()
    bench.leave.set()

    with pytest.raises(ShuttingDown):
        call.result(20)
    assert bench.passes == []


@pytest.mark.parametrize("photos", [1, 3])
def test_who_leaves_while_images_are_read_never_reaches_the_device(bench, photo, photos):
    context = Context()
    call = bench.embed(context, *[photo] * photos)
    assert bench.decoding.acquire(timeout=20)
    context.is_here = False
    bench.leave.set()

    with pytest.raises(CallerGone):
        call.result(20)
    assert bench.is_free()
    assert not bench.decoding.acquire(blocking=False)  # one was read, and no more
    assert bench.passes == []


def test_who_leaves_as_its_images_are_queued_is_told_and_not_computed(bench, photo):
    class Leaving(Context):
        def add_callback(self, callback: Callable[[], None]) -> bool:
            callback()
            bench.batcher.stop()
            return True

    bench.leave.set()
    with pytest.raises(CallerGone):
        bench.embed(Leaving(), photo).result(20)

    assert bench.passes == []


def test_what_is_not_accepted_never_reaches_the_device(bench, photo):
    def refuse(read: object) -> None:
        raise ValueError("not these")

    bench.leave.set()
    with pytest.raises(ValueError, match="not these"):
        bench.embed(Context(), photo, accept=refuse).result(20)

    assert bench.is_free()
    assert bench.passes == []
    assert len(bench.embed(Context(), photo, accept=any_may_fail).result(20).photos) == 1


def test_memory_that_runs_out_while_an_image_is_read_ends_its_call_alone(bench, photo):
    bench.errors.append(MemoryError())
    bench.leave.set()
    with pytest.raises(MemoryError):
        bench.embed(Context(), photo, photo).result(20)

    assert bench.is_free()
    assert len(bench.embed(Context(), photo).result(20).photos) == 1
