"""Fine-tunes a backbone on a catalogue. Plain torch; reads top to bottom."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import torch

from embedder_service.model import EmbeddingModel
from embedder_service.spec import ModelError
from embedder_service.training.batches import batches, drawn_from, expect_shares
from embedder_service.training.data import Catalogue
from embedder_service.training.epochs import Epoch, OnEpoch, OnStep, best_of, is_spent
from embedder_service.training.judge import judge, mean_of
from embedder_service.training.keeper import NOWHERE, Keeper
from embedder_service.training.learner import Learner
from embedder_service.training.photos import Photos
from embedder_service.training.recipes import RECIPES, Labels
from embedder_service.training.settings import FinetuneSettings
from embedder_service.training.starting import Say
from embedder_service.training.team import ALONE, Team

__all__ = ["Epoch", "FinetuneSettings", "OnEpoch", "OnStep", "Say", "estimate_minutes", "finetune"]


def finetune(
    catalogue: Catalogue,
    settings: FinetuneSettings,
    on_epoch: OnEpoch = lambda _: None,
    on_step: OnStep = lambda *_: None,
    say: Say = lambda _: None,
    keeper: Keeper = NOWHERE,
    team: Team = ALONE,
) -> EmbeddingModel:
    """A model trained on the catalogue's training photos, on the CPU and in evaluation mode.

    `on_step(done, total)` follows every batch; `say` takes a line about where the weights come
    from. A `keeper`, such as a Run that was begun, is given each epoch; what it has already is not
    trained again, and `on_epoch` hears of it at once. The same seed on the same machine gives the
    same model, interrupted or not. Raises CatalogueError, ModelError.
    """
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        photos = Photos(catalogue, settings)
        expect_shares(photos.batch, team)
        learner = Learner(settings, photos.labels, photos.batches, say, team)
        history = keeper.restore(learner)
        best = keeper.best() if settings.patience and history else None
        if history:
            say(f"{len(history)} of {settings.epochs} epochs are done already")
        for epoch in history:
            on_epoch(epoch)
        while len(history) < settings.epochs and not is_spent(history, settings.patience):
            epoch = _epoch(len(history) + 1, learner, photos, settings, on_step, team)
            history.append(epoch)
            is_best = settings.patience > 0 and best_of(history) is epoch
            best = learner.snapshot() if is_best else best
            if team.is_first:
                keeper.keep(learner, history, best if is_best else None)
            team.wait()
            on_epoch(epoch)
        if best is not None:
            learner.put_back(best)
    return learner.trained()


def _epoch(
    number: int,
    learner: Learner,
    photos: Photos,
    settings: FinetuneSettings,
    on_step: OnStep,
    team: Team,
) -> Epoch:
    began = time.perf_counter()
    # Dropout's draws: like the batches', a matter of seed and epoch alone.
    torch.manual_seed(drawn_from(settings.seed, number, team.rank).initial_seed())
    side = settings.side_in(number)
    learner.thaw_body(number)
    losses = []
    for batch in batches(photos, settings.augmentation, side, (settings.seed, number), team):
        losses.append(learner.step(*batch))
        on_step(photos.batches * (number - 1) + len(losses), learner.steps)
    train_loss = mean_of(losses, team)
    trained = time.perf_counter() - began
    if not math.isfinite(train_loss):
        raise ModelError(
            f"loss: expected a number, got {train_loss} in epoch {number}: try a lower rate than "
            f"{settings.rate or RECIPES[settings.recipe].peak_rate:g}"
        )
    learner.agree()
    return Epoch(
        number=number,
        epochs=settings.epochs,
        side=side,
        train_loss=train_loss,
        **judge(learner, photos, side, team),
        rate=learner.rate,
        photos_per_second=photos.batches * photos.batch / trained,
        seconds=time.perf_counter() - began,
    )


def estimate_minutes(catalogue: Catalogue, settings: FinetuneSettings, steps: int = 2) -> float:
    """Minutes that `finetune` will take here, by timing a few batches of random pixels."""
    labels = Labels.of(catalogue, RECIPES[settings.recipe])
    photos = len(catalogue.of("train"))
    batch = min(settings.batch, max(2, photos))
    batches = max(1, photos // batch)
    with torch.random.fork_rng():
        scratch = replace(settings, weights="none")
        learner = Learner(scratch, labels, batches, lambda _: None)
        sides = [settings.side_in(number) for number in range(1, settings.epochs + 1)]
        seconds = {side: _seconds_per_step(learner, batch, side, steps) for side in set(sides)}
    return sum(seconds[side] * batches for side in sides) / 60


def _seconds_per_step(learner: Learner, batch: int, side: int, steps: int) -> float:
    pixels = torch.randint(0, 256, (batch, 3, side, side), dtype=torch.uint8)
    labels = torch.zeros(batch, dtype=torch.int64)
    learner.step(pixels, labels, labels).item()
    began = time.perf_counter()
    for _ in range(steps):
        learner.step(pixels, labels, labels).item()
    return (time.perf_counter() - began) / steps
