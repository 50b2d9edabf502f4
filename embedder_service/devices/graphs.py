"""CUDA: a captured graph a bucket, and the next pieces staged while one computes."""

from __future__ import annotations

import os
import shutil
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from embedder_service.devices.buckets import Cuts, bucket_sizes
from embedder_service.devices.device import Unavailable
from embedder_service.devices.eager import device_name
from embedder_service.devices.network import network_of
from embedder_service.devices.warm import warm_sizes
from embedder_service.images import Pixels
from embedder_service.model import EmbeddingModel
from embedder_service.pace import Pace
from embedder_service.pending import Vectors

Work = Callable[[], object]
_STAGES = 2


class Stream(Protocol):
    """What a lane needs of CUDA."""

    device: torch.device

    def captured(self, work: Work) -> Work:
        """What does the same work again, from and to the same memory."""

    def pinned(self, *shape: int, dtype: torch.dtype) -> Tensor:
        """Memory of the host that the device reads and writes by itself."""

    def start(self, work: Work) -> Work:
        """Starts the work after all that was started before; the answer waits for its end."""


class GraphsDevice:
    """No call of a kernel at a time: a graph is one. `engine` is graphs, or compiled.

    Graphs are captured in the warm-up, then replayed by the model thread alone: they are plain CUDA
    graphs, without the thread-local state of torch's own trees of them (pytorch#123177).
    """

    def __init__(
        self, model: EmbeddingModel, engine: str, precision: str, stream: Stream | None = None
    ) -> None:
        self._stream = stream or CudaStream()
        self.engine = engine
        self.precision = precision
        self.name = device_name(self._stream.device)
        network = network_of(model, precision).to(self._stream.device)
        self._network = compiled(network) if engine == "compiled" else network
        self._side = model.spec.preprocessing.crop
        self._dimension = model.spec.dimension
        self._lanes: dict[int, Lane] = {}
        self._cuts = Cuts({1: 0.0})

    def warm_up(self, max_batch: int) -> Pace:
        # The largest bucket is half a batch: one half is staged while the other computes.
        sizes = bucket_sizes(-(-max_batch // 2))
        seconds = warm_sizes(self._embed_bucket, self._side, sizes)
        self._cuts = Cuts(seconds)
        pieces = self._cuts.of(max_batch)
        for bucket, lane in self._lanes.items():
            lane.hold(2 * pieces.count(bucket))
        full = sum(seconds[bucket] for bucket in pieces)
        return Pace(seconds[1], full, max_batch)

    def embed(self, images: Pixels) -> Vectors:
        return self.launch(images)()

    def launch(self, images: Pixels) -> Callable[[], Vectors]:
        pieces = []
        start = 0
        for bucket in self._cuts.of(len(images)):
            pieces.append(self._lanes[bucket].launch(images[start : start + bucket]))
            start += bucket
        return lambda: np.concatenate([vectors() for vectors in pieces])

    def _embed_bucket(self, images: Pixels) -> Vectors:
        size = len(images)
        if size not in self._lanes:
            shape = (size, 3, self._side, self._side)
            self._lanes[size] = Lane(self._network, shape, self._dimension, self._stream)
        return self._lanes[size].launch(images)()


def compiled(network: nn.Module) -> nn.Module:
    """Its kernels are written when it is first called, for each batch size. Raises Unavailable."""
    # Triton asks for CC, gcc or clang, and Python's headers, which a warm-up without them tells.
    if not (os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")):
        raise Unavailable("engine: expected a C compiler for torch.compile (gcc, clang), got none")
    # One entry a bucket; beyond the default of 8 the network would run as it is, silently.
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, 32)
    network.compile(dynamic=False)
    return network


class Lane:
    """One bucket: memory on the device, stages on the host, and the graph between."""

    def __init__(
        self, network: nn.Module, shape: tuple[int, int, int, int], dimension: int, stream: Stream
    ) -> None:
        self._stream = stream
        self._network = network
        self._images = torch.zeros(shape, dtype=torch.uint8, device=stream.device)
        self._vectors = torch.zeros((shape[0], dimension), device=stream.device)
        self._replay = stream.captured(self._compute)
        self._stages: deque[_Stage] = deque()
        self.hold(_STAGES)

    def hold(self, pieces: int) -> None:
        """Has stages for so many at least. In the warm-up: pinned memory takes its time."""
        while len(self._stages) < pieces:
            images = self._stream.pinned(*self._images.shape, dtype=torch.uint8)
            landed = self._stream.pinned(*self._vectors.shape, dtype=torch.float32)
            self._stages.append(_Stage(images, landed))

    def launch(self, images: Pixels) -> Callable[[], Vectors]:
        """Starts at most a bucket of images; the answer waits for their vectors.

        Waits itself where all stages are taken. Places left over keep the pixels of an earlier
        piece: no image sees another.
        """
        stage = self._stages[0]
        self._stages.rotate(-1)
        count = len(images)  # and not the images, which an idle stage would keep
        stage.vectors()  # of its last piece, which may not have been asked for yet
        stage.images.numpy()[:count] = images

        def work() -> None:
            self._images.copy_(stage.images, non_blocking=True)
            self._replay()
            stage.landed.copy_(self._vectors, non_blocking=True)

        wait = self._stream.start(work)

        @cache
        def vectors() -> Vectors:
            wait()
            return stage.landed.numpy()[:count].copy()

        stage.vectors = vectors
        return vectors

    def _compute(self) -> None:
        with torch.inference_mode():
            self._vectors.copy_(self._network(self._images))


@dataclass
class _Stage:
    """Pinned memory for a piece's images and its vectors; what waits for those of the last one."""

    images: Tensor
    landed: Tensor
    vectors: Callable[[], object] = lambda: None


class CudaStream:
    """One stream: copies and graphs run in the order they were started."""

    def __init__(self) -> None:
        self.device = torch.device("cuda")
        torch.backends.cudnn.benchmark = True  # shapes are few, and tried before serving
        self._stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self._pool = torch.cuda.graph_pool_handle()

    def captured(self, work: Work) -> Work:
        # Libraries choose their kernels and take their memory in the first runs, not in a capture.
        with torch.cuda.stream(self._stream):
            for _ in range(3):
                work()
        self._stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
            work()
        return graph.replay

    def pinned(self, *shape: int, dtype: torch.dtype) -> Tensor:
        return torch.zeros(shape, dtype=dtype, pin_memory=True)

    def start(self, work: Work) -> Work:
        # It sleeps while it waits, so that the cores can decode.
        done = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        with torch.cuda.stream(self._stream):
            work()
            done.record()
        return done.synchronize
