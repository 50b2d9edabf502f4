"""Looks for a learning rate: a short training whose rate grows until its loss does too.

Smith, "Cyclical Learning Rates for Training Neural Networks" (2017).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count, islice
from pathlib import Path

import torch
from matplotlib.figure import Figure

from embedder_service.training.batches import Batch, batches
from embedder_service.training.data import Catalogue
from embedder_service.training.epochs import OnStep
from embedder_service.training.learner import Learner
from embedder_service.training.photos import Photos
from embedder_service.training.settings import FinetuneSettings
from embedder_service.training.starting import Say
from embedder_service.training.team import ALONE

LOWEST, HIGHEST = 1e-6, 1.0
_SMOOTHING = 0.9
_LOST = 3.0  # times the least loss: it will not come back


@dataclass(frozen=True)
class RateCurve:
    """Smoothed losses over rates of the head; it ends where the loss had grown threefold."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]

    @property
    def suggestion(self) -> float:
        """A tenth of the rate where the loss was least: further on it is about to grow."""
        least = min(range(len(self.losses)), key=self.losses.__getitem__)
        return self.rates[least] / 10


def find_rate(
    catalogue: Catalogue,
    settings: FinetuneSettings,
    on_step: OnStep = lambda *_: None,
    say: Say = lambda _: None,
    steps: int = 100,
) -> RateCurve:
    """The curve for these settings, with all of the body learning. Raises what `finetune` does."""
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        photos = Photos(catalogue, settings)
        # Its own cycle of rates is overruled step by step, and must only be long enough.
        longer = replace(settings, epochs=steps // photos.batches + 1)
        learner = Learner(longer, photos.labels, photos.batches, say)
        rates: list[float] = []
        losses: list[float] = []
        for number, batch in enumerate(islice(_endless(photos, settings), steps)):
            rate = LOWEST * (HIGHEST / LOWEST) ** (number / max(1, steps - 1))
            learner.set_rate(rate)
            losses.append(learner.step(*batch).item())
            rates.append(rate)
            on_step(number + 1, steps)
            if _is_lost(losses):
                break
    return RateCurve(tuple(rates), tuple(_smoothed(losses)))


def draw_rates(curve: RateCurve, path: Path) -> None:
    """The curve, and where the suggestion lies on it."""
    figure = Figure(figsize=(7, 4.2), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    axes.plot(curve.rates, curve.losses, color="#2171b5")
    axes.axvline(curve.suggestion, color="#d95f02", linestyle=":")
    axes.text(curve.suggestion, max(curve.losses), f" {curve.suggestion:.1e}", color="#d95f02")
    axes.set_xscale("log")
    axes.set_xlabel("rate")
    axes.set_ylabel("loss, smoothed")
    axes.grid(visible=True, alpha=0.25)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png")


def _endless(photos: Photos, settings: FinetuneSettings) -> Iterator[Batch]:
    for epoch in count(1):
        seed = settings.seed, epoch
        yield from batches(photos, settings.augmentation, settings.side_in(1), seed, ALONE)


def _is_lost(losses: Sequence[float]) -> bool:
    smoothed = _smoothed(losses)
    return not math.isfinite(losses[-1]) or smoothed[-1] > _LOST * min(smoothed)


def _smoothed(losses: Sequence[float]) -> list[float]:
    """A moving average, corrected for its youth; what is no number ends it."""
    smoothed: list[float] = []
    mean = 0.0
    for number, loss in enumerate(losses, 1):
        if not math.isfinite(loss):
            break
        mean = _SMOOTHING * mean + (1 - _SMOOTHING) * loss
        smoothed.append(mean / (1 - _SMOOTHING**number))
    return smoothed
