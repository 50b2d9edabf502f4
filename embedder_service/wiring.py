"""Model -> batcher -> servicer -> server: one embedder. Knows everyone."""

from __future__ import annotations

import os
from importlib.metadata import version

from lookalike.embedder.v1 import embedder_pb2 as pb
from lookalike.embedder.v1 import embedder_pb2_grpc as pb_grpc
from lookalike.inference import open_inference_pb2_grpc as inference_grpc
from prometheus_client import CollectorRegistry

from embedder_service import checkpoint, golden, images
from embedder_service.batcher import Batcher
from embedder_service.budget import ByteBudget
from embedder_service.checkpoint import Checkpoint
from embedder_service.config import EmbedderConfig
from embedder_service.devices.choice import Chosen, choose
from embedder_service.inference_servicer import InferenceServicer
from embedder_service.metrics import EmbedderMetrics
from embedder_service.pipeline import Pipeline
from embedder_service.reader import Reader
from embedder_service.servicer import MAX_IMAGES, EmbedderServicer
from lookalike_kit import logs
from lookalike_kit.server import Registration, Server

SERVICE = "lookalike.embedder.v1.EmbedderService"
INFERENCE = "inference.GRPCInferenceService"

log = logs.get(__name__)


class Embedder:
    """One embedder, wired but not serving. Raises ModelError, ConfigError."""

    def __init__(self, config: EmbedderConfig) -> None:
        registry = CollectorRegistry()
        metrics = EmbedderMetrics(registry)
        model = checkpoint.load(config.model)
        chosen = choose(model, config)
        info = _info(config, model, chosen)
        metrics.describe(_labels(info), chosen.agreement.cosine, chosen.agreement.error)
        _log_ready(info, chosen.agreement)

        self.batcher = Batcher(
            chosen.device.embed,
            chosen.pace,
            config.max_queue_images,
            metrics,
            stuck_seconds=config.stuck_seconds,
            on_lost=lambda: self.server.abandon(),
        )
        metrics.follow_queue(self.batcher.waiting)
        limits = images.Limits(max_bytes=config.max_image_bytes, max_pixels=config.max_image_pixels)
        cores = len(os.sched_getaffinity(0))
        reader = Reader(model.spec.preprocessing, limits, cores, metrics.decoded)
        budget = ByteBudget(config.max_held_bytes)
        pipeline = Pipeline(reader, self.batcher, budget, metrics.image)
        embedder = EmbedderServicer(pipeline, info)
        inference = InferenceServicer(pipeline, info, lambda: self.server.is_ready)
        services = [
            Registration(
                SERVICE, lambda to: pb_grpc.add_EmbedderServiceServicer_to_server(embedder, to)
            ),
            Registration(
                INFERENCE,
                lambda to: inference_grpc.add_GRPCInferenceServiceServicer_to_server(inference, to),
            ),
        ]
        self.server = Server(config, "embedder", registry, services)

    def run(self) -> None:
        """Serves until SIGTERM or SIGINT."""
        self.batcher.start()
        self.server.catch_signals()
        self.server.start()
        self.server.set_ready(True)
        self.server.run_until_signal()
        self.batcher.stop()


def _info(config: EmbedderConfig, model: Checkpoint, chosen: Chosen) -> pb.GetInfoResponse:
    return pb.GetInfoResponse(
        space_id=model.space_id,
        dimension=model.spec.dimension,
        architecture=model.spec.backbone,
        layer=model.spec.layer,
        image_side=model.spec.preprocessing.crop,
        device=chosen.device.name,
        engine=chosen.device.engine,
        precision=chosen.device.precision,
        artefact=chosen.artefact,
        decoder=images.DECODER,
        max_images_per_call=MAX_IMAGES,
        max_image_bytes=config.max_image_bytes,
        max_image_pixels=config.max_image_pixels,
        max_batch=config.max_batch,
        version=version("lookalike"),
    )


def _labels(info: pb.GetInfoResponse) -> dict[str, str]:
    names = (
        "space_id",
        "architecture",
        "device",
        "engine",
        "precision",
        "artefact",
        "decoder",
        "version",
    )
    return {name: getattr(info, name) for name in names}


def _log_ready(info: pb.GetInfoResponse, agreement: golden.Agreement) -> None:
    say = log.warning if agreement.is_doubtful else log.info
    say(
        "model_checked",
        **_labels(info),
        golden_cosine=round(agreement.cosine, 6),
        golden_error=round(agreement.error, 6),
    )
