import numpy as np
import pytest

from embedder_service.devices.padded import Padded
from embedder_service.spec import ModelError

SIDE = 4


def images(count: int) -> np.ndarray:
    numbers = np.arange(1, count + 1, dtype=np.uint8)
    return np.broadcast_to(numbers[:, None, None, None], (count, 3, SIDE, SIDE))


class Engine:
    """Answers with each image's first pixel; knows what it was asked."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def forward(self, pixels: np.ndarray) -> np.ndarray:
        self.sizes.append(len(pixels))
        return pixels[:, 0, 0, :1].astype(np.float32)


def test_any_batch_goes_in_warmed_sizes_and_comes_back_in_order():
    engine = Engine()
    padded = Padded(engine.forward, SIDE)
    padded.warm_up(8)
    warmed = set(engine.sizes)

    for count in range(1, 9):
        assert padded.embed(images(count))[:, 0].tolist() == list(range(1, count + 1))
    assert warmed == set(engine.sizes) == {1, 2, 4, 8}


def test_a_batch_that_does_not_fit_is_told_at_the_start():
    def forward(pixels: np.ndarray) -> np.ndarray:
        if len(pixels) > 2:
            raise RuntimeError("out of memory")
        return np.zeros((len(pixels), 1), np.float32)

    with pytest.raises(ModelError, match=r"max_batch: expected a batch that fits .* got 8: out of"):
        Padded(forward, SIDE).warm_up(8)
