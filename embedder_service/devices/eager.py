"""torch as it is: every installation has it, and float32 here is what the others are held to."""

from __future__ import annotations

import numpy as np
import torch

from embedder_service.devices.network import network_of
from embedder_service.devices.warm import warm_sizes
from embedder_service.images import Pixels
from embedder_service.model import EmbeddingModel
from embedder_service.pace import Pace
from embedder_service.pending import Vectors
from embedder_service.spec import ModelError


class EagerDevice:
    """One kernel after another, on the CPU or one CUDA device, for batches of any size.

    Raises ModelError if the device is not there.
    """

    engine = "eager"
    launch = None

    def __init__(self, model: EmbeddingModel, device: str, precision: str = "float32") -> None:
        self.precision = precision
        self._device = torch.device(chosen_device(device))
        # Any size may come: each would be tuned in the middle of serving. Graphs know theirs.
        torch.backends.cudnn.benchmark = False
        self._network = network_of(model, precision).to(self._device)
        self._side = model.spec.preprocessing.crop
        self.name = device_name(self._device)

    def warm_up(self, max_batch: int) -> Pace:
        seconds = warm_sizes(self.embed, self._side, (1, max_batch))
        return Pace(seconds[1], seconds[max_batch], max_batch)

    def embed(self, images: Pixels) -> Vectors:
        with torch.inference_mode():
            vectors = self._network(torch.from_numpy(images).to(self._device))
            return np.asarray(vectors.cpu().numpy(), np.float32)


def chosen_device(device: str) -> str:
    """ "cpu" or "cuda" of "auto", "cpu" or "cuda"."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise ModelError("device: expected a CUDA device on this machine, got none")
    return device


def device_name(device: torch.device) -> str:
    if device.type == "cpu":
        return "cpu"
    return f"cuda: {torch.cuda.get_device_name(device)}"
