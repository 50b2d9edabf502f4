"""A real embedder, wired and configured as any other, over a device that fails by what it sees.

A picture of 255 loses the device, one of 254 hangs it, one of 253 fails its batch, one of 252 takes
a fifth of a second; and the device has memory for two pictures. Vectors are the picture's shade.
With DEVICE=cuda it takes a second batch while it has one.
"""

import ctypes
import sys
import time
from functools import partial

import numpy as np
from lookalike.embedder.v1 import embedder_pb2 as pb

from embedder_service.config import PREFIX, EmbedderConfig
from embedder_service.pace import Pace
from embedder_service.spec import Preprocessing
from embedder_service.wiring import Embedder, Loaded
from lookalike_kit import logs
from lookalike_kit.program import Program


def embed(images: np.ndarray) -> np.ndarray:
    shades = images[:, 0, 0, 0]
    if 255 in shades:
        raise RuntimeError("CUDA error: device-side assert triggered")
    if 254 in shades:
        ctypes.CDLL(None).pause()  # in C, for ever
    if 253 in shades:
        raise RuntimeError("a kernel that fails")
    if 252 in shades:
        time.sleep(0.2)
    if len(images) > 2:
        raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
    return np.array([[shade, 1] for shade in shades], np.float32)


def serve(config: EmbedderConfig) -> None:
    logs.configure(config.log_level, "embedder")
    info = pb.GetInfoResponse(space_id="5" * 64, dimension=2, max_images_per_call=64)
    pace = Pace(0.001, 0.001, config.max_batch)
    launch = (lambda images: partial(embed, images)) if config.device == "cuda" else None
    loaded = Loaded(embed, pace, Preprocessing(resize=32, crop=32), info, launch=launch)
    Embedder(config, loaded).run()


if __name__ == "__main__":
    sys.exit(Program("embedder", "", "").main(lambda: (EmbedderConfig, PREFIX, ()), serve))
