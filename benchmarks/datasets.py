"""Vectors to measure on: made here, the same each time, with queries that are not among them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from search_service.engines import Vectors

ROWS = 249_222  # the first article's training and validation photos
QUERIES = 1_000
CENTRES = 3_000
BETWEEN, WITHIN = 1.2, 0.6  # standard deviations of the centres, and around them
HARD_ROWS = 60_032
# Photographs that scikit-image ships.
PHOTOGRAPHS = (
    "astronaut.png",
    "chelsea.png",
    "coffee.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "motorcycle_left.png",
    "retina.jpg",
    "rocket.jpg",
)
_SIDE = 64  # of a crop, as the network sees it
_KEPT = Path("build/bench")
_SAMPLED = 20_000  # vectors, to learn their spread


@dataclass(frozen=True)
class Dataset:
    """Unit vectors [n, d] and held-out queries [q, d]."""

    name: str
    vectors: Vectors
    queries: Vectors

    def variance_in(self, directions: int) -> float:
        """The share of the variance along the best so many: the less, the harder to search."""
        sample = self.vectors[:_SAMPLED]
        variances = np.linalg.eigvalsh(np.cov(sample, rowvar=False))
        return float(variances[-directions:].sum() / variances.sum())


def easy(rows: int = ROWS, queries: int = QUERIES) -> Dataset:
    """A 32-d mixture through two random ReLU layers: what a trained embedding is like."""
    return _mixture("easy", rows, queries, latent=32)


def wide(rows: int = ROWS, queries: int = QUERIES) -> Dataset:
    """The same with a 128-d latent: fewer directions can be left out."""
    return _mixture("wide", rows, queries, latent=128)


def hard(rows: int = HARD_ROWS, queries: int = QUERIES) -> Dataset:
    """Features of an untrained resnet18 on crops of photographs: far from any mixture.

    Kept under build/bench, as they take minutes to make.
    """
    rows = min(rows, HARD_ROWS)
    kept = _KEPT / f"hard-{rows}-{queries}.npy"
    if kept.exists():
        drawn = np.load(kept)
    else:
        drawn = _features(rows + queries)
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.save(kept, drawn)
    return Dataset("hard", drawn[:rows], drawn[rows:])


def _features(count: int) -> Vectors:
    import skimage
    import torch
    from torchvision.models import resnet18

    folder = Path(skimage.__file__).parent / "data"
    photographs = [Image.open(folder / name).convert("RGB") for name in PHOTOGRAPHS]
    torch.manual_seed(0)
    network = resnet18(weights=None).eval()
    network.fc = torch.nn.Identity()
    generator = np.random.default_rng(0)
    made = np.empty((count, 512), np.float32)
    with torch.inference_mode():
        for start in range(0, count, 256):
            crops = [_crop(photographs, generator) for _ in range(min(256, count - start))]
            batch = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float() / 255
            made[start : start + len(crops)] = network((batch - 0.45) / 0.225).numpy()
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    return made


def _crop(photographs: list[Image.Image], generator: np.random.Generator) -> np.ndarray:
    """A square of any size and place, perhaps mirrored."""
    photograph = photographs[generator.integers(len(photographs))]
    side = int(generator.integers(48, min(*photograph.size, 256)))
    left, top = (int(generator.integers(length - side)) for length in photograph.size)
    crop = np.asarray(photograph.resize((_SIDE, _SIDE), box=(left, top, left + side, top + side)))
    return crop[:, ::-1] if generator.random() < 0.5 else crop


def _mixture(name: str, rows: int, queries: int, latent: int) -> Dataset:
    generator = np.random.default_rng(0)
    centres = generator.standard_normal((CENTRES, latent), np.float32) * np.float32(BETWEEN)
    first = generator.standard_normal((latent, 256), np.float32) / np.float32(np.sqrt(latent))
    second = generator.standard_normal((256, 512), np.float32) / np.float32(np.sqrt(256))
    drawn = np.empty((rows + queries, 512), np.float32)
    for start in range(0, len(drawn), 65_536):
        stop = min(start + 65_536, len(drawn))
        points = centres[generator.integers(0, CENTRES, stop - start)]
        points = points + generator.standard_normal(points.shape, np.float32) * np.float32(WITHIN)
        lifted = np.maximum(np.maximum(points @ first, 0) @ second, 0)
        drawn[start:stop] = lifted / np.linalg.norm(lifted, axis=1, keepdims=True)
    return Dataset(name, drawn[:rows], drawn[rows:])
