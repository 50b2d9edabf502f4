import numpy as np
import pytest

from embedder_service.devices.warm import warm_sizes
from embedder_service.spec import ModelError


def test_each_size_is_timed():
    sizes = []

    def forward(pixels: np.ndarray) -> np.ndarray:
        sizes.append(len(pixels))
        return np.zeros((len(pixels), 1), np.float32)

    seconds = warm_sizes(forward, 4, (1, 8))

    assert sizes == [1, 1, 8, 8]
    assert seconds.keys() == {1, 8}
    assert min(seconds.values()) > 0


def test_a_batch_that_does_not_fit_is_told_at_the_start():
    def forward(pixels: np.ndarray) -> np.ndarray:
        if len(pixels) > 2:
            raise RuntimeError("out of memory")
        return np.zeros((len(pixels), 1), np.float32)

    with pytest.raises(ModelError, match=r"max_batch: expected a batch that fits .* got 8: out of"):
        warm_sizes(forward, 4, (1, 2, 4, 8))
