"""How a model does on the validation photos, epoch by epoch."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor

from embedder_service.training.learner import Learner
from embedder_service.training.photos import Photos
from embedder_service.training.pixels import Pixels
from embedder_service.training.team import Team

_PART = 256
_RANKS = (1, 3, 5)
_NAMES = ("valid_loss", *(f"top_{rank}" for rank in _RANKS), "item_recall_at_1")


def judge(learner: Learner, photos: Photos, side: int, team: Team) -> dict[str, float | None]:
    """The validation photos' loss, class accuracy and item recall, at the epoch's own side."""
    figures: dict[str, float | None] = dict.fromkeys(_NAMES)
    if not len(photos.valid):
        return figures
    raw = _embedded(learner, photos.valid, torch.arange(len(photos.valid)), side, team)
    if photos.valid_has_labels:
        figures["valid_loss"] = learner.loss_of(raw, photos.valid_classes, photos.valid_items)
    if learner.model.classifier is not None and (photos.valid_classes >= 0).any():
        figures |= _accuracies(learner, raw, photos.valid_classes)
    known = torch.isin(photos.valid_numbers, photos.train_numbers)
    if known.any():
        rows = photos.one_of_each_item()
        gallery = _embedded(learner, photos.train, rows, side, team)
        found = photos.train_numbers[rows][_nearest(raw, gallery)] == photos.valid_numbers
        figures["item_recall_at_1"] = found[known].float().mean().item()
    return figures


def _embedded(learner: Learner, pixels: Pixels, rows: Tensor, side: int, team: Team) -> Tensor:
    """Each process of the team embeds its share; all have all of it: [rows, dimension]."""
    dimension = learner.model.spec.dimension
    raw = torch.zeros(len(rows), dimension, device=learner.device)
    places = torch.split(torch.arange(len(rows))[team.rank :: team.size], _PART)
    for place, part in zip(places, pixels.parts(rows[place] for place in places), strict=True):
        raw[place] = learner.evaluated(resized(part, side))
    return team.total(raw)


@torch.no_grad()
def _accuracies(learner: Learner, raw: Tensor, classes: Tensor) -> dict[str, float | None]:
    # 3.4 s to import, most of it scipy: only who trains waits for it.
    from torchmetrics.functional.classification import multiclass_accuracy

    logits = learner.judged.classify(raw)
    count = logits.shape[1]

    def accuracy(rank: int) -> float:
        labels = classes.to(logits.device)
        return multiclass_accuracy(
            logits, labels, count, average="micro", top_k=min(rank, count), ignore_index=-1
        ).item()

    return {f"top_{rank}": accuracy(rank) for rank in _RANKS}


def _nearest(queries: Tensor, gallery: Tensor) -> Tensor:
    """The row of each query's nearest by cosine; in parts, for 40,000 x 7,000 take 1.1 GB."""
    turned = F.normalize(gallery).T
    return torch.cat(
        [(F.normalize(part) @ turned).argmax(1) for part in torch.split(queries, 1024)]
    ).cpu()


def resized(pixels: Tensor, side: int) -> Tensor:
    """uint8 [n, 3, side, side]."""
    smaller = F.interpolate(pixels.float(), (side, side), mode="bilinear", antialias=True)
    return smaller.round().clamp(0, 255).to(torch.uint8)


def mean_of(losses: Iterable[Tensor], team: Team) -> float:
    """Over an epoch's batches and the team."""
    mean = torch.stack(list(losses)).mean()
    team.average([mean])
    return mean.item()
