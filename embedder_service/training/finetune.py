"""Fine-tunes a backbone on a catalogue. Plain torch; reads top to bottom."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor

from embedder_service.model import EmbeddingModel
from embedder_service.training.data import Catalogue
from embedder_service.training.learner import Learner, Say
from embedder_service.training.photos import Photos
from embedder_service.training.recipes import RECIPES, Labels
from embedder_service.training.settings import FinetuneSettings

__all__ = ["Epoch", "FinetuneSettings", "OnEpoch", "OnStep", "Say", "estimate_minutes", "finetune"]


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """One line of the training's table.

    `top_1` and `top_3` are shares of validation photos whose class leads, or is in the first three.
    `item_recall_at_1`: how often a validation photo's nearest, among one training photo of each
    item, is of its own item. None where the catalogue has no such labels.
    """

    number: int
    epochs: int
    train_loss: float
    valid_loss: float | None
    top_1: float | None
    top_3: float | None
    item_recall_at_1: float | None
    seconds: float


OnEpoch = Callable[[Epoch], None]
OnStep = Callable[[int, int], None]


def finetune(
    catalogue: Catalogue,
    settings: FinetuneSettings,
    on_epoch: OnEpoch = lambda _: None,
    on_step: OnStep = lambda *_: None,
    say: Say = lambda _: None,
) -> EmbeddingModel:
    """A model trained on the catalogue's training photos, on the CPU and in evaluation mode.

    `on_step(done, total)` follows every batch; `say` takes a line about where the weights come
    from. The same seed on the same machine gives the same model. Raises CatalogueError, ModelError.
    """
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        generator = torch.Generator().manual_seed(settings.seed)
        photos = Photos(catalogue, settings)
        learner = Learner(settings, photos.labels, photos.batches, say)
        for number in range(1, settings.epochs + 1):
            began = time.perf_counter()
            side = settings.side_in(number)
            learner.thaw_body(number)
            losses = []
            for rows in photos.shuffled(generator):
                pixels = settings.augmentation(photos.train[rows], side, generator)
                losses.append(learner.step(pixels, photos.classes[rows], photos.items[rows]))
                on_step(photos.batches * (number - 1) + len(losses), learner.steps)
            judged = judge(learner, photos, side)
            on_epoch(
                Epoch(
                    number=number,
                    epochs=settings.epochs,
                    train_loss=sum(losses) / len(losses),
                    **judged,
                    seconds=time.perf_counter() - began,
                )
            )
    return learner.trained()


def estimate_minutes(catalogue: Catalogue, settings: FinetuneSettings, steps: int = 2) -> float:
    """Minutes that `finetune` will take here, by timing a few batches of random pixels."""
    labels = Labels.of(catalogue, RECIPES[settings.recipe])
    batches = max(1, len(catalogue.of("train")) // settings.batch)
    with torch.random.fork_rng():
        scratch = replace(settings, weights="none")
        learner = Learner(scratch, labels, batches, lambda _: None)
        sides = [settings.side_in(number) for number in range(1, settings.epochs + 1)]
        seconds = {side: _seconds_per_step(learner, side, steps) for side in set(sides)}
    return sum(seconds[side] * batches for side in sides) / 60


def judge(learner: Learner, photos: Photos, side: int) -> dict[str, float | None]:
    """The validation photos' loss, class accuracy and item recall, at the epoch's own side."""
    known = dict.fromkeys(("valid_loss", "top_1", "top_3", "item_recall_at_1"))
    if not len(photos.valid):
        return known
    raw = learner.evaluated(_resized(photos.valid, side))
    figures: dict[str, float | None] = dict(known)
    if photos.valid_has_labels:
        figures["valid_loss"] = learner.loss_of(raw, photos.valid_classes, photos.valid_items)
    if learner.model.classifier is not None:
        with torch.no_grad():
            order = learner.model.classify(raw).argsort(1, descending=True).cpu()
        hits = order == photos.valid_classes.unsqueeze(1)
        figures |= {"top_1": _share(hits[:, :1]), "top_3": _share(hits[:, :3])}
    if (photos.valid_items >= 0).any():
        rows = photos.one_of_each_item()
        gallery = learner.evaluated(_resized(photos.train[rows], side))
        nearest = (F.normalize(raw) @ F.normalize(gallery).T).argmax(1).cpu()
        found = photos.items[rows][nearest] == photos.valid_items
        figures["item_recall_at_1"] = _share(found.unsqueeze(1))
    return figures


def _resized(pixels: Tensor, side: int) -> Tensor:
    resized = F.interpolate(pixels.float(), (side, side), mode="bilinear", antialias=True)
    return resized.round().clamp(0, 255).to(torch.uint8)


def _share(hits: Tensor) -> float:
    return hits.any(1).float().mean().item()


def _seconds_per_step(learner: Learner, side: int, steps: int) -> float:
    pixels = torch.randint(0, 256, (learner.batch, 3, side, side), dtype=torch.uint8)
    labels = torch.zeros(learner.batch, dtype=torch.int64)
    learner.step(pixels, labels, labels)
    began = time.perf_counter()
    for _ in range(steps):
        learner.step(pixels, labels, labels)
    return (time.perf_counter() - began) / steps
