"""How to train, as a frozen value."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from embedder_service.backbones import body_channels
from embedder_service.spec import BACKBONES
from embedder_service.training.augment import Augmentation
from embedder_service.training.recipes import RECIPES

PRECISIONS = ("auto", "float32", "bfloat16", "float16")
LAYERS = ("embedding", "pooling")

_LEAST_SIDE = 32  # five halvings of it leave one pixel


@dataclass(frozen=True, kw_only=True)
class FinetuneSettings:
    """How to train.

    `weights` fill the body: "imagenet", "none", a file, or "auto": ImageNet's where they can be
    had, else none. `layer` is what becomes the vector: the recipe's own "embedding", or the body's
    average "pooling", whose dimension is the body's (2048 for resnet50). `side` is that of the
    square the model sees. The first epochs, `small_epochs` of them all, run at `small_side` of the
    side, though at 32 pixels at least, for less than half the time; the last always at the whole.
    `batch` counts photos a step over all processes. `rate` is the peak of the one cycle; None takes
    the recipe's. `average` is the decay of the weights' moving average, which then is what is
    judged and kept; 0 keeps the weights themselves. `clip` bounds the gradient's norm. `patience`
    ends a training that many epochs after its best, and keeps the best; 0 never does.

    How it is run changes the result by rounding at most: `device` is "auto", "cpu" or "cuda",
    `precision` that of the body, `threads` read photos (0: one a core), and pixels stay in memory
    up to `memory_bytes`.
    """

    recipe: str = "retrieval"
    backbone: str = "resnet18"
    layer: str = "embedding"
    weights: str | Path = "auto"
    side: int = 112
    small_side: float = 0.64
    epochs: int = 14
    small_epochs: float = 0.65
    batch: int = 32
    dimension: int = 512
    rate: float | None = None
    average: float = 0.0
    clip: float = 5.0
    patience: int = 0
    seed: int = 0
    device: str = "auto"
    precision: str = "auto"
    threads: int = 0
    memory_bytes: int = 4 << 30
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        _expect("recipe", self.recipe in RECIPES, " or ".join(RECIPES), self.recipe)
        _expect("backbone", self.backbone in BACKBONES, " or ".join(BACKBONES), self.backbone)
        _expect("layer", self.layer in LAYERS, " or ".join(LAYERS), self.layer)
        _expect("precision", self.precision in PRECISIONS, " or ".join(PRECISIONS), self.precision)
        _expect("side", _LEAST_SIDE <= self.side <= 896, f"{_LEAST_SIDE} to 896", self.side)
        _expect("epochs", self.epochs >= 1, "at least 1", self.epochs)
        _expect("batch", self.batch >= 2, "at least 2", self.batch)
        _expect("small_side", 0 < self.small_side <= 1, "above 0, at most 1", self.small_side)
        _expect("small_epochs", 0 <= self.small_epochs < 1, "0 to 1", self.small_epochs)
        _expect("rate", self.rate is None or 0 < self.rate <= 1, "above 0, at most 1", self.rate)
        _expect("average", 0 <= self.average < 1, "0 to 1", self.average)
        _expect("clip", self.clip > 0, "above 0", self.clip)
        _expect("patience", self.patience >= 0, "0 or more", self.patience)

    @property
    def vector_dimension(self) -> int:
        """The dimension of the vectors: the settings' own, or the pooling layer's."""
        return body_channels(self.backbone) if self.layer == "pooling" else self.dimension

    def side_in(self, epoch: int) -> int:
        """The side of an epoch's pictures; epochs count from 1."""
        is_small = epoch <= int(self.small_epochs * self.epochs)
        return max(_LEAST_SIDE, round(self.side * self.small_side)) if is_small else self.side


def _expect(name: str, holds: bool, expected: str, got: object) -> None:
    if not holds:
        raise ValueError(f"{name}: expected {expected}, got {got}")
