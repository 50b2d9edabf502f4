"""An embedder whose device is a clock: `LOOKALIKE_EMBEDDER_MODEL=MILLISECONDS python -P -m ...`.

All of the embedder but the model, with the settings of the real one. A pass takes so many
milliseconds an image, off the processor as on a GPU; the vectors are the pixels' means.
"""

from __future__ import annotations

import os
import time

import numpy as np
from lookalike.embedder.v1 import embedder_pb2 as pb
from lookalike.embedder.v1 import embedder_pb2_grpc as pb_grpc
from prometheus_client import CollectorRegistry

from embedder_service.batcher import Batcher
from embedder_service.budget import ByteBudget
from embedder_service.config import PREFIX, EmbedderConfig
from embedder_service.images import Limits, Pixels
from embedder_service.metrics import EmbedderMetrics
from embedder_service.pace import Pace
from embedder_service.pending import Vectors
from embedder_service.pipeline import Pipeline
from embedder_service.reader import Reader
from embedder_service.servicer import EmbedderServicer
from embedder_service.spec import Preprocessing
from lookalike_kit import config as settings
from lookalike_kit import logs
from lookalike_kit.server import Registration, Server

DIMENSION = 512
SERVICE = "lookalike.embedder.v1.EmbedderService"


def main() -> None:
    config = settings.read(EmbedderConfig, PREFIX, os.environ)
    logs.configure(config.log_level, "embedder")
    seconds = float(str(config.model)) / 1e3

    def embed(images: Pixels) -> Vectors:
        began = time.perf_counter()
        means = np.repeat(images.mean(axis=(1, 2, 3), keepdims=True)[:, 0, 0], DIMENSION, axis=1)
        time.sleep(max(0.0, seconds * len(images) - (time.perf_counter() - began)))
        return means.astype(np.float32)

    registry = CollectorRegistry()
    metrics = EmbedderMetrics(registry)
    pace = Pace(seconds, seconds * config.max_batch, config.max_batch)
    batcher = Batcher(embed, pace, config.max_queue_images, metrics)
    metrics.follow_queue(batcher.waiting)
    limits = Limits(max_bytes=config.max_image_bytes, max_pixels=config.max_image_pixels)
    cores = len(os.sched_getaffinity(0))
    reader = Reader(Preprocessing(resize=232, crop=224), limits, cores, metrics.decoded)
    info = pb.GetInfoResponse(space_id="5" * 64, dimension=DIMENSION)
    pipeline = Pipeline(reader, batcher, ByteBudget(config.max_held_bytes), metrics.image)
    servicer = EmbedderServicer(pipeline, info)
    registration = Registration(
        SERVICE, lambda server: pb_grpc.add_EmbedderServiceServicer_to_server(servicer, server)
    )
    server = Server(config, "embedder", registry, [registration])
    batcher.start()
    server.start()
    server.set_ready(True)
    server.run_until_signal()
    batcher.stop()


if __name__ == "__main__":
    main()
