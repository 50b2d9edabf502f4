"""An embedder without torch, wired over a device that fails as its first argument says.

Images are answered until one is white. python failing_embedder.py lost|hang
"""

import ctypes
import sys

import numpy as np
from lookalike.embedder.v1 import embedder_pb2 as pb
from lookalike.embedder.v1 import embedder_pb2_grpc as pb_grpc
from prometheus_client import CollectorRegistry

from embedder_service.batcher import Batcher
from embedder_service.budget import ByteBudget
from embedder_service.images import Limits
from embedder_service.metrics import EmbedderMetrics
from embedder_service.pace import Pace
from embedder_service.pipeline import Pipeline
from embedder_service.reader import Reader
from embedder_service.servicer import EmbedderServicer
from embedder_service.spec import Preprocessing
from lookalike_kit import logs
from lookalike_kit.server import Registration, Server, ServerConfig

SERVICE = "lookalike.embedder.v1.EmbedderService"


def embed(images: np.ndarray) -> np.ndarray:
    if (images == 255).all(axis=(1, 2, 3)).any():
        if sys.argv[1] == "hang":
            ctypes.CDLL(None).pause()  # in C, for ever
        raise RuntimeError("CUDA error: device-side assert triggered")
    return np.ones((len(images), 4), np.float32)


def main() -> None:
    logs.configure("info", "embedder")
    registry = CollectorRegistry()
    metrics = EmbedderMetrics(registry)
    pace = Pace(0.001, 0.001, max_batch=1)
    batcher = Batcher(
        embed, pace, 256, metrics, stuck_seconds=0.3, on_lost=lambda: server.abandon()
    )
    reader = Reader(Preprocessing(resize=32, crop=32), Limits(), 2, metrics.decoded)
    info = pb.GetInfoResponse(space_id="5" * 64, dimension=4)
    pipeline = Pipeline(reader, batcher, ByteBudget(1 << 28), metrics.image)
    servicer = EmbedderServicer(pipeline, info)
    registration = Registration(
        SERVICE, lambda server: pb_grpc.add_EmbedderServiceServicer_to_server(servicer, server)
    )
    config = ServerConfig(
        address="127.0.0.1:0", admin_address="127.0.0.1:0", metrics_address="127.0.0.1:0"
    )
    server = Server(config, "embedder", registry, [registration])
    batcher.start()
    server.start()
    server.set_ready(True)
    server.run_until_signal()
    batcher.stop()


if __name__ == "__main__":
    main()
