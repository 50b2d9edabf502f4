"""An embedder with every part but the model, that does as a file says: `Orders` as JSON.

LOOKALIKE_EMBEDDER_MODEL names the file. The orders for passes are read again before each of them.
"""

import json
import sys
import time
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path

import numpy as np
from lookalike.embedder.v1 import embedder_pb2 as pb

from embedder_service.config import PREFIX, EmbedderConfig
from embedder_service.images import Pixels
from embedder_service.nursery import Nursery
from embedder_service.pace import Pace
from embedder_service.pending import Vectors
from embedder_service.spec import Preprocessing
from embedder_service.wiring import Embedder, Loaded
from lookalike_kit import logs
from lookalike_kit.program import Program
from proofs.catalogue import DIMENSION, SPACE


@dataclass(frozen=True)
class Orders:
    """fails: every second pass; two in a row would be the device's end. lost: the next pass."""

    space_id: str = SPACE
    golden_cosine: float = 1.0
    pass_seconds: float = 0.002
    fails: bool = False
    lost: bool = False

    def give(self, path: Path) -> Path:
        """Writes the file whole."""
        whole = path.with_suffix(".new")
        whole.write_text(json.dumps(asdict(self)))
        return whole.rename(path)

    @classmethod
    def read(cls, path: Path) -> "Orders":
        return cls(**json.loads(path.read_text()))


def serve(config: EmbedderConfig) -> None:
    logs.configure(config.log_level, "embedder")
    nursery = Nursery.fork()
    first = Orders.read(config.model)
    passes = count()

    def embed(pixels: Pixels) -> Vectors:
        orders = Orders.read(config.model)
        time.sleep(orders.pass_seconds)
        if orders.lost:
            raise RuntimeError("CUDA error: device-side assert triggered")
        if orders.fails and next(passes) % 2:
            raise RuntimeError("a kernel that fails")
        return np.resize(pixels.mean(axis=(1, 2, 3)), (DIMENSION, len(pixels))).T.astype(np.float32)

    info = pb.GetInfoResponse(
        space_id=first.space_id,
        dimension=DIMENSION,
        max_images_per_call=64,
        device="none",
        precision="float32",
    )
    pace = Pace(first.pass_seconds, first.pass_seconds, config.max_batch)
    preprocessing = Preprocessing(resize=32, crop=32)
    model = Loaded(embed, pace, preprocessing, info, first.golden_cosine)
    Embedder(config, model, nursery).run()


if __name__ == "__main__":
    sys.exit(Program("embedder", "", "").main(lambda: (EmbedderConfig, PREFIX, ()), serve))
