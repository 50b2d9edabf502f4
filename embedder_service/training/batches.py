"""An epoch's batches: the same rows and pictures for a seed, however many processes share them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from embedder_service.spec import ModelError
from embedder_service.training.augment import Augmentation
from embedder_service.training.photos import Photos
from embedder_service.training.team import Team

Batch = tuple[Tensor, Tensor, Tensor]


def batches(
    photos: Photos, augmentation: Augmentation, side: int, seed: tuple[int, ...], team: Team
) -> Iterator[Batch]:
    """Pixels, classes and items of this process's share of each batch, in turn.

    Every process draws the order and what becomes of all pictures, and makes its own.
    """
    shares = [team.share(rows) for rows in photos.shuffled(drawn_from(*seed))]
    own = team.share(torch.arange(photos.batch))
    for number, pixels in enumerate(photos.train.parts(shares)):
        draws = augmentation.draw(photos.batch, drawn_from(*seed, number + 1))
        pictures = pixels.to(photos.device, non_blocking=True)
        rows = shares[number]
        yield (
            augmentation.apply(pictures, side, draws.of(own, photos.device)),
            photos.classes[rows],
            photos.items[rows],
        )


def expect_shares(batch: int, team: Team) -> None:
    """Raises ModelError unless all processes get as many photos of a batch."""
    if batch % team.size or batch < 2 * team.size:
        raise ModelError(
            f"batch: expected a multiple of {team.size}, the number of processes, with two photos "
            f"or more for each, got {batch}"
        )


def drawn_from(*numbers: int) -> torch.Generator:
    """A generator that these numbers decide: seed, epoch, batch.

    An epoch's draws depend on nothing before it, so that a training that goes on after an
    interruption needs no state of any generator.
    """
    state = np.random.SeedSequence(numbers).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0] >> 1))
