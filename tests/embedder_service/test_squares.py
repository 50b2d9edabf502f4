import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional

from embedder_service.spec import Preprocessing
from embedder_service.squares import square

pytestmark = pytest.mark.torch

MODEL = Preprocessing(resize=72, crop=64)


@pytest.mark.parametrize(
    "size",
    [
        (300, 300),
        (400, 300),
        (300, 601),
        (599, 300),
        (901, 300),
        (60, 60),
        (50, 77),
        (9, 700),
        (72, 72),
        (72, 100),
    ],
)
def test_a_square_is_what_torchvision_makes_whichever_way_it_goes(draw, size):
    pixels = np.array(draw(3).resize(size))
    resized = functional.resize(torch.from_numpy(pixels.copy()).permute(2, 0, 1), [72])
    wanted = functional.center_crop(resized, [64, 64]).numpy()

    made = square(pixels, MODEL)

    assert made.flags.c_contiguous
    assert np.abs(made.astype(int) - wanted).max() <= 1


def test_turned_and_cut_pixels_need_not_stand_in_a_row(draw):
    pixels = np.array(draw(4))
    part = pixels.transpose(1, 0, 2)[::-1, 20:200]

    assert np.array_equal(square(part, MODEL), square(np.ascontiguousarray(part), MODEL))


def test_it_starts_no_threads(draw):
    before = threads()
    sizes = [(300, 400), (72, 72), (1000, 900), (232, 232)] * 2
    model = Preprocessing(resize=232, crop=224)
    workers = [
        threading.Thread(target=square, args=(np.array(draw(5).resize(size)), model))
        for size in sizes
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    end = time.monotonic() + 20
    while threads() > before:  # one that is joined is still there for a moment
        assert time.monotonic() < end
        time.sleep(0.01)


def threads():
    return len(list(Path("/proc/self/task").iterdir()))
