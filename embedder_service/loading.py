"""The model folder -> what serves it: loaded, put on the fastest engine, checked. Needs torch."""

from __future__ import annotations

from importlib.metadata import version

from lookalike.embedder.v1 import embedder_pb2 as pb

from embedder_service import checkpoint, images
from embedder_service.checkpoint import Checkpoint
from embedder_service.config import EmbedderConfig
from embedder_service.devices.choice import Chosen, choose
from embedder_service.servicer import MAX_IMAGES
from embedder_service.wiring import Loaded, labels
from lookalike_kit import logs

log = logs.get(__name__)


def load(config: EmbedderConfig) -> Loaded:
    """Takes as long as the warm-up does. Raises ModelError."""
    model = checkpoint.load(config.model)
    chosen = choose(model, config)
    info = _info(config, model, chosen)
    say = log.warning if chosen.agreement.is_doubtful else log.info
    say(
        "model_checked",
        **labels(info),
        golden_cosine=round(chosen.agreement.cosine, 6),
        golden_error=round(chosen.agreement.error, 6),
    )
    return Loaded(
        embed=chosen.device.embed,
        pace=chosen.pace,
        preprocessing=model.spec.preprocessing,
        info=info,
        golden_cosine=chosen.agreement.cosine,
        golden_error=chosen.agreement.error,
        launch=chosen.device.launch,
    )


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
