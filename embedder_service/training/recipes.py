"""What a training optimises: the labels it has, the losses on them, the rates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from pytorch_metric_learning.losses import CosFaceLoss
from torch import Tensor, nn

from embedder_service.model import EmbeddingModel
from embedder_service.training.data import Catalogue, Photo


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A head, the losses' weights and the optimiser's rates.

    A pretrained body learns at `body_rate` of the head's rate, its early layers at `early_rate` of
    that, after it has rested for `frozen_share` of the epochs.
    """

    head: str
    class_weight: float
    item_weight: float
    label_smoothing: float
    peak_rate: float
    weight_decay: float
    body_rate: float = 1.0
    early_rate: float = 1.0
    frozen_share: float = 0.0
    scale: float = 16.0
    margin: float = 0.2


RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "retrieval": Recipe(
            head="retrieval",
            class_weight=0.5,
            item_weight=1.0,
            label_smoothing=0.1,
            peak_rate=2e-3,
            weight_decay=0.05,
            body_rate=0.1,
        ),
        # The article's: classes only; a pretrained body rests for a third of the time, then learns
        # at a hundredth and a tenth of the head's rate, as fastai's slice(rate / 100, rate) has it.
        "article": Recipe(
            head="article",
            class_weight=1.0,
            item_weight=0.0,
            label_smoothing=0.0,
            peak_rate=2e-3,
            weight_decay=0.01,
            body_rate=0.1,
            early_rate=0.1,
            frozen_share=0.33,
        ),
    }
)


@dataclass(frozen=True)
class Labels:
    """Class and item labels to learn from; either may be empty, not both.

    Where there are neither classes nor items of several photos, each photo is an item of its own,
    known again under augmentation.
    """

    classes: tuple[str, ...]
    items: tuple[str, ...]

    @classmethod
    def of(cls, catalogue: Catalogue, recipe: Recipe) -> Labels:
        """What the catalogue's training photos can teach under a recipe."""
        train = catalogue.of("train")
        classes = tuple(sorted({photo.category for photo in train if photo.category}))
        classes = classes if len(classes) > 1 and recipe.class_weight else ()
        needs_items = not classes or (recipe.item_weight > 0 and catalogue.has_pairs)
        items = tuple(sorted({photo.item_id for photo in train})) if needs_items else ()
        return cls(classes, items)

    def of_photos(self, photos: Sequence[Photo]) -> tuple[Tensor, Tensor]:
        """Class and item numbers, int64 [n] each; -1 where a photo's is not known."""
        classes = {name: number for number, name in enumerate(self.classes)}
        items = {name: number for number, name in enumerate(self.items)}
        return (
            torch.tensor([classes.get(photo.category, -1) for photo in photos]),
            torch.tensor([items.get(photo.item_id, -1) for photo in photos]),
        )


class Objective(nn.Module):
    """The loss of a recipe: cross-entropy on classes plus a proxy loss on items.

    Each item has one learnt direction, and a photo's cosine to its own must lead by a margin: Wang
    et al., "CosFace: Large Margin Cosine Loss for Deep Face Recognition" (2018).
    """

    def __init__(self, recipe: Recipe, labels: Labels, dimension: int) -> None:
        super().__init__()
        self._recipe = recipe
        self.proxies = (
            CosFaceLoss(
                num_classes=len(labels.items),
                embedding_size=dimension,
                margin=recipe.margin,
                scale=recipe.scale,
            )
            if labels.items
            else None
        )

    def forward(self, model: EmbeddingModel, raw: Tensor, classes: Tensor, items: Tensor) -> Tensor:
        loss = raw.sum() * 0  # with a gradient, also where no label is known
        if model.classifier is not None:
            smoothing = self._recipe.label_smoothing if self.training else 0.0
            logits = model.classify(raw)
            loss = loss + self._recipe.class_weight * _cross_entropy(logits, classes, smoothing)
        known = items >= 0
        if self.proxies is not None and known.any():
            item_loss = self.proxies(raw[known], items[known])
            loss = loss + (self._recipe.item_weight or 1.0) * item_loss
        return loss


def _cross_entropy(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """The mean over the photos whose label is known; 0 where none is."""
    if not (labels >= 0).any():
        return logits.new_zeros(())
    return F.cross_entropy(logits, labels, ignore_index=-1, label_smoothing=smoothing)
