"""Models to measure with: one of any size that was never trained, for speed; one that was.

A network of 152 layers that was never trained makes noise of every rounding: the cosine between its
bfloat16 and float32 vectors is 0.2, and no replica serves it so. With its residual branches at a
twentieth and the batch statistics of photographs it is as fast, and served. What an engine's
errors are worth is judged on a trained model.
"""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from benchmarks.datasets import PHOTOGRAPHS
from embedder_service import checkpoint, images
from embedder_service.images import Pixels
from embedder_service.judging.baselines import calibrated
from embedder_service.model import EmbeddingModel, build
from embedder_service.spec import ModelSpec, Preprocessing
from embedder_service.training.data import Photo
from embedder_service.training.sample import SampleSettings, draw

SIDE = 300
GOLDEN = 8
PHOTOS_PER_ITEM = 8
JUDGED = 256
DAMPED = 0.05
_SMALLEST, _LARGEST = 64, 300  # of a crop, before it is scaled to SIDE


def untrained(backbone: str, crop: int, photos: int, folder: Path) -> Path:
    """A folder models/<space_id>, with the statistics of so many photographs."""
    spec = ModelSpec(backbone=backbone, preprocessing=Preprocessing(resize=crop + 8, crop=crop))
    golden = tuple(crops(GOLDEN, seed=1))
    files = [_kept(content, folder / f"{at}.jpg") for at, content in enumerate(crops(photos))]
    model = calibrated(_damped(build(spec)), files)
    return checkpoint.save(model, folder / "models", golden, "made by benchmarks/embed.py")


def trained(backbone: str, crop: int, items: int, epochs: int, folder: Path) -> tuple[Path, Pixels]:
    """A folder models/<space_id>, fine-tuned on drawn garments; some of them as it sees them."""
    catalogue = folder / "catalogue"
    draw(catalogue, SampleSettings(items=items, photos_per_item=PHOTOS_PER_ITEM, side=crop + 8))
    given = {
        "models": folder / "models",
        "run-folder": folder / "run",
        "backbone": backbone,
        "weights": "none",
        "side": crop,
        "epochs": epochs,
    }
    options = [word for name, value in given.items() for word in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "embedder_service.training", "finetune", str(catalogue)]
    subprocess.run([*command, *options], check=True)
    (saved,) = (folder / "models").iterdir()
    spec = checkpoint.load(saved).spec
    files = sorted(catalogue.rglob("*.jpg"))[:: max(1, items * PHOTOS_PER_ITEM // JUDGED)]
    pixels = [images.read(file.read_bytes(), spec.preprocessing)[0] for file in files[:JUDGED]]
    return saved, np.stack(pixels)


def crops(count: int, seed: int = 0) -> Iterator[bytes]:
    """JPEGs of squares of any size and place in the photographs that scikit-image ships."""
    import skimage

    folder = Path(skimage.__file__).parent / "data"
    photographs = [Image.open(folder / name).convert("RGB") for name in PHOTOGRAPHS]
    chance = np.random.default_rng(seed)
    for _ in range(count):
        photograph = photographs[chance.integers(len(photographs))]
        side = int(chance.integers(_SMALLEST, min(*photograph.size, _LARGEST)))
        left, top = (int(chance.integers(length - side)) for length in photograph.size)
        box = (left, top, left + side, top + side)
        file = io.BytesIO()
        photograph.resize((SIDE, SIDE), box=box).save(file, "JPEG", quality=88)
        yield file.getvalue()


def _damped(model: EmbeddingModel) -> EmbeddingModel:
    for block in model.modules():
        if isinstance(block, (BasicBlock, Bottleneck)):
            last = block.bn2 if isinstance(block, BasicBlock) else block.bn3
            nn.init.constant_(last.weight, DAMPED)
    return model


def _kept(content: bytes, path: Path) -> Photo:
    path.write_bytes(content)
    return Photo(photo_id=path.name, path=path, item_id=path.name)
