"""The device without the service: its loop over pixels that are there, in a process of its own."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from types import TracebackType

import numpy as np
import torch

from embedder_service import acceptance, checkpoint
from embedder_service.config import EmbedderConfig
from embedder_service.devices.choice import choose
from embedder_service.devices.device import Device
from embedder_service.devices.eager import EagerDevice
from embedder_service.images import Pixels
from embedder_service.model import EmbeddingModel
from embedder_service.pending import Vectors

LEAST_PASSES = 3

Forward = Callable[[Pixels], Vectors]


@dataclass(frozen=True)
class About:
    """The device, as GetInfo says it; eager: what the fast engine is compared with."""

    device: str
    engine: str
    precision: str
    eager: str


class Bare:
    """The engine that serves the model of a folder, and the network as torch runs it eagerly."""

    def __init__(
        self, folder: Path, max_batch: int, engine: str = "auto", precision: str = "auto"
    ) -> None:
        spawn = multiprocessing.get_context("spawn")
        config = EmbedderConfig(
            model=folder, max_batch=max_batch, engine=engine, precision=precision
        )
        self._process = ProcessPoolExecutor(1, spawn, _open, (config,))

    def about(self) -> About:
        return self._process.submit(_about).result()

    def images_a_second(self, batch: int, seconds: float) -> float:
        """Of passes of so many images, one after the other."""
        return batch / self._process.submit(_mean_seconds, "served", batch, seconds).result()

    def pass_seconds(self, batch: int, seconds: float) -> float:
        """The median."""
        return self._process.submit(_median_seconds, batch, seconds).result()

    def eager_images_a_second(self, batch: int, seconds: float) -> float:
        return batch / self._process.submit(_mean_seconds, "eager", batch, seconds).result()

    def figures(self, photos: Pixels) -> dict[str, float]:
        """How far the engine's vectors are from eager float32's (acceptance.Figures)."""
        return self._process.submit(_figures, photos).result()

    def __enter__(self) -> Bare:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.shutdown()


class _Opened:
    """What the process has, made once."""

    folder: Path
    device: Device
    eager: Forward
    side: int
    max_batch: int


def _open(config: EmbedderConfig) -> None:
    loaded = checkpoint.load(config.model)
    _Opened.folder = config.model
    _Opened.device = choose(loaded, config).device
    _Opened.eager = _eager(checkpoint.load(config.model).model)
    _Opened.side = loaded.spec.preprocessing.crop
    _Opened.max_batch = config.max_batch


def _eager(model: EmbeddingModel) -> Forward:
    """Float32 on a CPU, autocast on a GPU: what one would write without an engine."""
    if not torch.cuda.is_available():
        return EagerDevice(model, "cpu").embed
    model.cuda()

    def forward(images: Pixels) -> Vectors:
        with torch.inference_mode(), torch.autocast("cuda", torch.float16):
            vectors = model.embed(torch.from_numpy(images).cuda())
        return np.asarray(vectors.cpu().numpy(), np.float32)

    return forward


def _about() -> About:
    eager = "autocast float16" if torch.cuda.is_available() else "float32"
    device = _Opened.device
    return About(device.name, device.engine, device.precision, eager)


def _figures(photos: Pixels) -> dict[str, float]:
    # On a GPU float32 is TensorFloat-32 in places: the reference is the CPU's.
    exact = EagerDevice(checkpoint.load(_Opened.folder).model, "cpu").embed
    reference = acceptance.in_batches(exact, photos, _Opened.max_batch)
    return asdict(acceptance.judge(_Opened.device.embed, photos, reference, _Opened.max_batch))


def _mean_seconds(which: str, batch: int, seconds: float) -> float:
    taken = _passes(_Opened.device.embed if which == "served" else _Opened.eager, batch, seconds)
    return sum(taken) / len(taken)


def _median_seconds(batch: int, seconds: float) -> float:
    return median(_passes(_Opened.device.embed, batch, seconds))


def _passes(forward: Forward, batch: int, seconds: float) -> list[float]:
    shape = (batch, 3, _Opened.side, _Opened.side)
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    forward(images)
    taken: list[float] = []
    while sum(taken) < seconds or len(taken) < LEAST_PASSES:
        began = time.perf_counter()
        forward(images)
        taken.append(time.perf_counter() - began)
    return taken
