"""The model folder -> what serves it: loaded, put on the fastest engine, checked. Needs torch."""

from __future__ import annotations

from contextlib import closing
from functools import partial
from importlib.metadata import version

from lookalike.embedder.v1 import embedder_pb2 as pb

from embedder_service import checkpoint, golden, images
from embedder_service.acceptance import MAX_ERROR
from embedder_service.apart import Apart, Unobserved
from embedder_service.checkpoint import Checkpoint
from embedder_service.config import EmbedderConfig
from embedder_service.decoder import Decoder, DecodersLost, Job
from embedder_service.devices.choice import Chosen, choose
from embedder_service.golden import Agreement
from embedder_service.images import Photo, Pixels
from embedder_service.nursery import Nursery
from embedder_service.servicer import MAX_IMAGES
from embedder_service.spec import ModelError, Preprocessing
from embedder_service.wiring import Loaded, labels
from lookalike_kit import logs

log = logs.get(__name__)


def load(config: EmbedderConfig, nursery: Nursery | None = None) -> Loaded:
    """Takes as long as the warm-up does. Raises ModelError."""
    model = checkpoint.load(config.model)
    chosen = choose(model, config)
    by_nvjpeg = _agreement_by_nvjpeg(config, model, chosen, nursery)
    info = _info(config, model, chosen, with_nvjpeg=by_nvjpeg is not None)
    agreement = by_nvjpeg or chosen.agreement
    say = log.warning if agreement.is_doubtful else log.info
    say(
        "model_checked",
        **labels(info),
        golden_cosine=round(agreement.cosine, 6),
        golden_error=round(agreement.error, 6),
    )
    return Loaded(
        embed=chosen.device.embed,
        pace=chosen.pace,
        preprocessing=model.spec.preprocessing,
        info=info,
        golden_cosine=agreement.cosine,
        golden_error=agreement.error,
        launch=chosen.device.launch,
        jpegs="nvjpeg" if by_nvjpeg else "cpu",
    )


def _agreement_by_nvjpeg(
    config: EmbedderConfig, model: Checkpoint, chosen: Chosen, nursery: Nursery | None
) -> Agreement | None:
    """Of the golden photos as nvJPEG reads them. None: it is not asked for, or passed over."""
    if config.jpeg_decoder != "nvjpeg":
        return None
    try:
        if nursery is None or chosen.device.name == "cpu":
            raise ModelError("expected decoders of their own, and a model on a GPU, got one on cpu")
        decoder = Apart(nursery, model.spec.preprocessing, Unobserved(), _nothing, "nvjpeg")
        with closing(decoder):
            embed, read = chosen.device.embed, partial(_read, decoder)
            agreement = golden.check(model, embed, config.max_batch, read)
        if decoder.jpegs != "nvjpeg":
            raise ModelError("expected the golden photos to be read, got an end of their decoder")
        # Or NaN: it cannot be told.
        if agreement.is_doubtful or not agreement.error <= MAX_ERROR:
            raise ModelError(f"expected the golden photos' vectors, got an {agreement}")
    except (ModelError, DecodersLost, MemoryError) as error:
        why = "no decoder on the GPU has begun" if isinstance(error, DecodersLost) else str(error)
        log.warning("nvjpeg_passed_over", why=why)
        return None
    return agreement


def _read(decoder: Decoder, content: bytes, _: Preprocessing) -> list[Pixels]:
    job = Job(Photo(content), images.check(content, images.Limits()))
    (decoded,) = decoder.decode([job])
    if isinstance(decoded.squares, Exception):
        raise decoded.squares
    return decoded.squares


def _nothing() -> None: ...


def _info(
    config: EmbedderConfig, model: Checkpoint, chosen: Chosen, *, with_nvjpeg: bool
) -> pb.GetInfoResponse:
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
        decoder=f"nvjpeg, {images.DECODER}" if with_nvjpeg else images.DECODER,
        max_images_per_call=MAX_IMAGES,
        max_image_bytes=config.max_image_bytes,
        max_image_pixels=config.max_image_pixels,
        max_batch=config.max_batch,
        version=version("lookalike"),
    )
