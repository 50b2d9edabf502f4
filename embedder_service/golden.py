"""Does this process make the vectors that the model's maker made?

The space names the weights; decoder, device, precision and library versions are held by photographs
that travel with the model, and their vectors.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from embedder_service import images
from embedder_service.checkpoint import Checkpoint
from embedder_service.passes import Embed
from embedder_service.pending import Vectors
from embedder_service.spec import ModelError, Preprocessing
from lookalike_kit.errors import ServiceError

REFUSED_BELOW = 0.99
DOUBTED_BELOW = 0.999

Read = Callable[[bytes, Preprocessing], list[images.Pixels]]


@dataclass(frozen=True)
class Agreement:
    """Ours against the stored ones.

    `cosine` is the smallest over the photos. `error` is the largest distance between the two
    vectors of a photo, as a fraction of the stored distance to the nearest other golden photo:
    where all photos lie close, a cosine alone proves nothing. NaN with fewer than two photos.
    """

    cosine: float
    error: float

    @property
    def is_doubtful(self) -> bool:
        return not self.cosine >= DOUBTED_BELOW


def check(
    checkpoint: Checkpoint, embed: Embed, max_batch: int, read: Read = images.read
) -> Agreement:
    """Embeds the golden photos here, as `read`, and compares.

    Raises ModelError if there are none, or if a cosine is below 0.99 or NaN.
    """
    if not checkpoint.golden_photos:
        raise ModelError("golden photos: expected at least one in the model folder, got none")
    agreement = compare(_vectors(checkpoint, embed, max_batch, read), checkpoint.golden_vectors)
    if not agreement.cosine >= REFUSED_BELOW:
        raise ModelError(
            f"golden photos: expected cosines of at least {REFUSED_BELOW} to the stored vectors, "
            f"got {agreement.cosine:.4f} by {images.DECODER}: this process would make other vectors"
        )
    return agreement


def compare(ours: Vectors, stored: Vectors) -> Agreement:
    """Two float32 [n, d] of vectors of length 1, n at least 1."""
    cosines = np.einsum("nd,nd->n", ours, stored)
    errors = np.linalg.norm(ours - stored, axis=1)
    between = np.linalg.norm(stored[:, np.newaxis] - stored[np.newaxis], axis=2)
    np.fill_diagonal(between, np.inf)
    nearest = between.min(axis=1)
    alone = len(stored) < 2
    return Agreement(
        cosine=float(cosines.min()),
        error=math.nan if alone else float((errors / np.maximum(nearest, 1e-9)).max()),
    )


def _vectors(checkpoint: Checkpoint, embed: Embed, most: int, read: Read) -> Vectors:
    try:
        pixels = np.concatenate(
            [read(photo, checkpoint.spec.preprocessing) for photo in checkpoint.golden_photos]
        )
    except ServiceError as error:
        raise ModelError(f"golden photos: expected images that decode here, got {error}") from error
    return np.concatenate([embed(pixels[at : at + most]) for at in range(0, len(pixels), most)])
