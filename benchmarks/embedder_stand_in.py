"""An embedder whose device is a clock: `LOOKALIKE_EMBEDDER_MODEL=MILLISECONDS python -P -m ...`.

All of the embedder but the model, with the settings of the real one. A pass takes so many
milliseconds an image, off the processor as on a GPU; a vector is the colour of the centre. Its
/metrics say as well how much CPU the decoding took, headers included, but not what it costs to
have it done in another process: stand_in_decode_cpu_seconds_total.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence

import numpy as np
from lookalike.embedder.v1 import embedder_pb2 as pb
from prometheus_client import Counter

from embedder_service import images
from embedder_service.config import PREFIX, EmbedderConfig
from embedder_service.decoder import Decoded, Job
from embedder_service.decoder_wire import Asking
from embedder_service.image_header import ImageHeader
from embedder_service.images import Limits, Pixels
from embedder_service.nursery import Nursery
from embedder_service.pace import Pace
from embedder_service.pending import Vectors
from embedder_service.spec import Preprocessing
from embedder_service.wiring import Embedder, Loaded
from lookalike_kit import config as settings
from lookalike_kit import logs

DIMENSION = 512
PREPROCESSING = Preprocessing(resize=232, crop=224)
DECODE_CPU = "stand_in_decode_cpu_seconds_total"


def main() -> None:
    config = settings.read(EmbedderConfig, PREFIX, os.environ)
    logs.configure(config.log_level, "embedder")
    seconds = float(str(config.model)) / 1e3
    nursery = Nursery.fork()

    def embed(pixels: Pixels) -> Vectors:
        vectors = np.zeros((len(pixels), DIMENSION), np.float32)
        vectors[:, :3] = pixels[:, :, pixels.shape[2] // 2, pixels.shape[3] // 2]
        if seconds:
            time.sleep(seconds * len(pixels))
        return vectors

    pace = Pace(seconds, seconds * config.max_batch, config.max_batch)
    info = pb.GetInfoResponse(space_id="5" * 64, dimension=DIMENSION, max_images_per_call=64)
    embedder = Embedder(config, Loaded(embed, pace, PREPROCESSING, info), nursery)
    _put_clock(Counter(DECODE_CPU, "CPU of decoding.", registry=embedder.registry).inc)
    embedder.run()


def _put_clock(add_seconds: Callable[[float], None]) -> None:
    check, ask = images.check, Asking.ask

    def checking(content: bytes, limits: Limits) -> ImageHeader:
        began = time.thread_time()
        try:
            return check(content, limits)
        finally:
            add_seconds(time.thread_time() - began)

    def asking(self: Asking, jobs: Sequence[Job]) -> list[Decoded]:
        decoded = ask(self, jobs)
        add_seconds(sum(each.cpu_seconds for each in decoded))
        return decoded

    images.check, Asking.ask = checking, asking  # type: ignore[method-assign]


if __name__ == "__main__":
    main()
