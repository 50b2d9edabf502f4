"""An engine that knows a few batch sizes, made to take any."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from embedder_service.devices.buckets import Cuts, bucket_sizes
from embedder_service.images import Pixels
from embedder_service.pace import Pace
from embedder_service.pending import Vectors
from embedder_service.spec import ModelError
from embedder_service.trouble import is_out_of_memory

Forward = Callable[[Pixels], Vectors]


class Padded:
    """`forward` takes exactly as many images as a bucket has, [bucket, 3, side, side]."""

    def __init__(self, forward: Forward, side: int) -> None:
        self._forward = forward
        self._side = side
        self._cuts = Cuts({1: 0.0})

    def warm_up(self, max_batch: int) -> Pace:
        seconds = warm_sizes(self._forward, self._side, bucket_sizes(max_batch))
        self._cuts = Cuts(seconds)
        return Pace(seconds[1], seconds[max_batch], max_batch)

    def embed(self, images: Pixels) -> Vectors:
        vectors = []
        start = 0
        for bucket in self._cuts.of(len(images)):
            piece = images[start : start + bucket]
            vectors.append(self._forward(filled_up(piece, bucket))[: len(piece)])
            start += bucket
        return np.concatenate(vectors)


def filled_up(images: Pixels, bucket: int) -> Pixels:
    """Black images after the others, until there are as many as the bucket has."""
    if len(images) == bucket:
        return images
    black = np.zeros((bucket - len(images), *images.shape[1:]), np.uint8)
    return np.concatenate([images, black])


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
