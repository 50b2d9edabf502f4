"""OpenVINO on a CPU: needs no compiler, and is the fastest engine there."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from embedder_service.devices.buckets import bucket_sizes, fine_bucket
from embedder_service.devices.device import Unavailable
from embedder_service.devices.warm import warm_sizes
from embedder_service.images import Pixels
from embedder_service.model import EmbeddingModel
from embedder_service.pace import Pace
from embedder_service.pending import Vectors

_HINTS = {"float32": "f32", "bfloat16": "bf16"}

_PARTS = ("body", "head")
_SMALL = 8

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Networks:
    """OpenVINO's models of the two parts, in float32, for batches of any size.

    `body` takes pixels to the last feature map, `head` that to vectors. They are two because a
    precision is a whole network's, and the head's sums are worth float32: in bfloat16 they make
    two thirds of the error of a resnet18.
    """

    body: Any
    head: Any


class OpenvinoDevice:
    """The body in `precision`, the head in float32. `threads` 0: one a core.

    It takes batches of any size, and from a few images on each costs the same, so buckets are
    close to one another. Each keeps a few megabytes, and its first pass takes about 20 ms longer:
    `warm_up` has that of the small ones, where it would show, and those by doubling; others have
    theirs while serving.
    """

    engine = "openvino"
    launch = None
    name = "cpu"

    def __init__(self, networks: Networks, side: int, precision: str, threads: int = 0) -> None:
        self.precision = precision
        self._side = side
        self._max_batch = 0
        self._body = _runner(networks.body, precision, threads)
        self._head = _runner(networks.head, "float32", threads)

    def warm_up(self, max_batch: int) -> Pace:
        self._max_batch = max_batch
        seconds = warm_sizes(self._run, self._side, bucket_sizes(max_batch))
        for size in set(range(1, min(_SMALL, max_batch))) - seconds.keys():
            self._run(np.zeros((size, 3, self._side, self._side), np.uint8))
        return Pace(seconds[1], seconds[max_batch], max_batch)

    def embed(self, images: Pixels) -> Vectors:
        bucket = fine_bucket(len(images), self._max_batch)
        return self._run(_filled_up(images, bucket))[: len(images)]

    def _run(self, images: Pixels) -> Vectors:
        vectors = self._head(self._body(images))
        return np.array(vectors, np.float32)  # a copy: the next pass writes where this one did


def converted(model: EmbeddingModel) -> Networks:
    """Raises Unavailable."""
    side = model.spec.preprocessing.crop
    images = torch.zeros((2, 3, side, side), dtype=torch.uint8)  # 1 would be taken for a constant
    with torch.inference_mode():
        features = model.features(images).clone()
        return Networks(_converted(_Body(model), images), _converted(_Head(model), features))


def write(networks: Networks, folder: Path) -> None:
    """body.xml and body.bin, head.xml and head.bin, in float32."""
    for name in _PARTS:
        path = folder / f"{name}.xml"
        imported().save_model(getattr(networks, name), path, compress_to_fp16=False)


def read(folder: Path) -> Networks:
    """What `write` wrote; its bytes are checked by whoever calls. Raises Unavailable."""
    core = imported().Core()
    return Networks(*(core.read_model(folder / f"{name}.xml") for name in _PARTS))


def version() -> str:
    """As "2026.4.1". Raises Unavailable."""
    return str(imported().__version__).partition("-")[0]


def imported() -> ModuleType:
    """The module `openvino`, which would report its import to its maker otherwise."""
    # Where openvino_telemetry cannot be imported, openvino takes its own empty stand-in.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        import openvino
    except ImportError as error:
        raise Unavailable(
            "engine: expected openvino, got none: pip install '.[openvino]' in a checkout"
        ) from error
    return cast(ModuleType, openvino)


class _Body(nn.Module):
    def __init__(self, model: EmbeddingModel) -> None:
        super().__init__()
        self._model = model.eval()

    def forward(self, pixels: Tensor) -> Tensor:
        return self._model.features(pixels)


class _Head(nn.Module):
    def __init__(self, model: EmbeddingModel) -> None:
        super().__init__()
        self._embedding = model.embedding.eval()

    def forward(self, features: Tensor) -> Tensor:
        return nn.functional.normalize(self._embedding(features))


def _converted(part: nn.Module, example: Tensor) -> Any:
    batch = {0: torch.export.Dim("n", min=1)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, of what OpenVINO calls
        program = torch.export.export(part.eval(), (example,), dynamic_shapes=(batch,))
        network = _converting(program)
    network.reshape([-1, *example.shape[1:]])
    return network


def _converting(program: Any) -> Any:
    level = logging.root.level
    try:
        return imported().convert_model(program)
    finally:
        # Where it fails it leaves ERROR behind, and the process would log nothing more.
        logging.root.setLevel(level)


def _filled_up(images: Pixels, bucket: int) -> Pixels:
    """Black images after the others, until there are as many as the bucket has."""
    if len(images) == bucket:
        return images
    black = np.zeros((bucket - len(images), *images.shape[1:]), np.uint8)
    return np.concatenate([images, black])


def _runner(network: Any, precision: str, threads: int) -> Callable[[Array], Array]:
    options = {
        "INFERENCE_PRECISION_HINT": _HINTS[precision],
        "PERFORMANCE_HINT": "LATENCY",  # one pass at a time, on all threads
        # Two embedders on one machine would be pinned to the same cores.
        "ENABLE_CPU_PINNING": False,
    }
    if threads:
        options["INFERENCE_NUM_THREADS"] = threads
    request = imported().Core().compile_model(network, "CPU", options).create_infer_request()

    def run(inputs: Array) -> Array:
        answer: Array = request.infer([inputs], share_inputs=True, share_outputs=True)[0]
        return answer

    return run
