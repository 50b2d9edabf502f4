"""How to train, as a frozen value."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from embedder_service.training.augment import Augmentation
from embedder_service.training.recipes import RECIPES

_LEAST_SIDE = 32  # five halvings of it leave one pixel


@dataclass(frozen=True, kw_only=True)
class FinetuneSettings:
    """How to train.

    `weights` fill the body: "imagenet", "none", a file, or "auto": ImageNet's where they can be
    had, else none. `side` is that of the square the model sees. The first epochs, `small_epochs` of
    them all, run at `small_side` of the side, though at 32 pixels at least, for less than half the
    time; the last always at the whole. `device` is "auto", "cpu" or "cuda".
    """

    recipe: str = "retrieval"
    backbone: str = "resnet18"
    weights: str | Path = "auto"
    side: int = 112
    small_side: float = 0.64
    epochs: int = 14
    small_epochs: float = 0.65
    batch: int = 32
    dimension: int = 512
    seed: int = 0
    device: str = "auto"
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        _expect("recipe", self.recipe in RECIPES, " or ".join(RECIPES), self.recipe)
        _expect("side", _LEAST_SIDE <= self.side <= 896, f"{_LEAST_SIDE} to 896", self.side)
        _expect("epochs", self.epochs >= 1, "at least 1", self.epochs)
        _expect("batch", self.batch >= 2, "at least 2", self.batch)
        _expect("small_side", 0 < self.small_side <= 1, "above 0, at most 1", self.small_side)
        _expect("small_epochs", 0 <= self.small_epochs < 1, "0 to 1", self.small_epochs)

    def side_in(self, epoch: int) -> int:
        """The side of an epoch's pictures; epochs count from 1."""
        is_small = epoch <= int(self.small_epochs * self.epochs)
        return max(_LEAST_SIDE, round(self.side * self.small_side)) if is_small else self.side


def _expect(name: str, holds: bool, expected: str, got: object) -> None:
    if not holds:
        raise ValueError(f"{name}: expected {expected}, got {got}")
