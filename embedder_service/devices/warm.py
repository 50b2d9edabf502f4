"""Passes before serving, which bring memory and kernels, and tell the pace."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from embedder_service.images import Pixels
from embedder_service.pending import Vectors
from embedder_service.spec import ModelError
from embedder_service.trouble import is_out_of_memory

Forward = Callable[[Pixels], Vectors]


def warm_sizes(forward: Forward, side: int, sizes: Sequence[int]) -> dict[int, float]:
    """Seconds of a pass by size; the first of two brings the memory and the kernels.

    Raises ModelError if one does not fit the device, or does not work.
    """
    most = max(sizes)
    noise = np.random.default_rng(0).integers(0, 256, (most, 3, side, side), np.uint8)
    try:
        return {size: _best_seconds(forward, noise[:size]) for size in sizes}
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise ModelError(f"engine: expected passes of {sizes} images, got {error}") from error
        raise ModelError(
            f"max_batch: expected a batch that fits the device, got {most}: {error}"
        ) from error


def _best_seconds(forward: Forward, images: Pixels) -> float:
    return min(_seconds(forward, images) for _ in range(2))


def _seconds(forward: Forward, images: Pixels) -> float:
    began = time.perf_counter()
    forward(images)
    return time.perf_counter() - began
