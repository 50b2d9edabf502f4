"""The model where it computes: numpy in, numpy out. The only serving code that runs torch."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch

from embedder_service.images import Pixels
from embedder_service.model import EmbeddingModel
from embedder_service.pace import Pace
from embedder_service.pending import Vectors
from embedder_service.spec import ModelError


class EagerDevice:
    """The float32 model, as written, on the CPU or one CUDA device. For one thread.

    `name` is as "cpu" or "cuda: NVIDIA H200". Raises ModelError if the device is not there.
    """

    precision = "float32"

    def __init__(self, model: EmbeddingModel, device: str, threads: int = 0) -> None:
        if threads:
            torch.set_num_threads(threads)
        self._device = torch.device(_choose(device))
        self._model = model.to(self._device).eval()
        self._side = model.spec.preprocessing.crop
        self.name = _name(self._device)

    def embed(self, images: Pixels) -> Vectors:
        """uint8 [n, 3, crop, crop] -> float32 [n, d], each of length 1."""
        with torch.inference_mode():
            return np.asarray(
                self._model.embed(torch.from_numpy(images).to(self._device)).cpu().numpy(),
                np.float32,
            )

    def warm_up(self, max_batch: int) -> Pace:
        """Runs the smallest and the largest batch until memory and kernels are there; times them.

        Raises ModelError if the largest does not fit the device.
        """
        try:
            one_seconds = self._best_seconds(1)
            full_seconds = self._best_seconds(max_batch)
        except RuntimeError as error:
            raise ModelError(
                f"max_batch: expected a batch that fits the device, got {max_batch}: {error}"
            ) from error
        return Pace(one_seconds, full_seconds, max_batch)

    def _best_seconds(self, images: int) -> float:
        shape = (images, 3, self._side, self._side)
        pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        return min(_seconds(lambda: self.embed(pixels)) for _ in range(2))


def _choose(device: str) -> str:
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise ModelError("device: expected a CUDA device on this machine, got none")
    return device


def _name(device: torch.device) -> str:
    if device.type == "cpu":
        return "cpu"
    return f"cuda: {torch.cuda.get_device_name(device)}"


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
