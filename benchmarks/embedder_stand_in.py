"""An embedder whose device is a clock: `LOOKALIKE_EMBEDDER_MODEL=MILLISECONDS python -P -m ...`.

All of the embedder but the model, with the settings of the real one. A pass takes so many
milliseconds an image, off the processor as on a GPU; the vectors are the pixels' means.
"""

from __future__ import annotations

import os
import time

import numpy as np
from lookalike.embedder.v1 import embedder_pb2 as pb

from embedder_service.config import PREFIX, EmbedderConfig
from embedder_service.images import Pixels
from embedder_service.pace import Pace
from embedder_service.pending import Vectors
from embedder_service.spec import Preprocessing
from embedder_service.wiring import Embedder, Loaded
from lookalike_kit import config as settings
from lookalike_kit import logs

DIMENSION = 512


def main() -> None:
    config = settings.read(EmbedderConfig, PREFIX, os.environ)
    logs.configure(config.log_level, "embedder")
    seconds = float(str(config.model)) / 1e3

    def embed(images: Pixels) -> Vectors:
        began = time.perf_counter()
        means = np.repeat(images.mean(axis=(1, 2, 3), keepdims=True)[:, 0, 0], DIMENSION, axis=1)
        time.sleep(max(0.0, seconds * len(images) - (time.perf_counter() - began)))
        return means.astype(np.float32)

    pace = Pace(seconds, seconds * config.max_batch, config.max_batch)
    info = pb.GetInfoResponse(space_id="5" * 64, dimension=DIMENSION, max_images_per_call=64)
    Embedder(config, Loaded(embed, pace, Preprocessing(resize=232, crop=224), info)).run()


if __name__ == "__main__":
    main()
