"""May an engine's vectors stand for the float32 ones? Judged on photographs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from embedder_service.images import Pixels
from embedder_service.pending import Vectors

MAX_ERROR = 0.05
MIN_AGREEMENT = 0.99
NEIGHBOURS = 10
# Nearer than this two photos are one: their distance is no measure of an error.
_SAME_DISTANCE = 1e-3

Embed = Callable[[Pixels], Vectors]
Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Figures:
    """An engine's vectors against the float32 ones of the same pixels.

    `cosine` is the smallest; `error` the largest distance between the two vectors of a photo, as a
    fraction of the distance to the nearest other photo, `mean_error` its mean; `agreement` the
    share of a photo's ten nearest that stay among them, when it asks among float32 vectors;
    `composition` the largest distance between a photo's vectors in different batches.
    """

    photos: int
    cosine: float
    error: float
    mean_error: float
    agreement: float
    composition: float

    @property
    def is_accepted(self) -> bool:
        return self.error <= MAX_ERROR and self.agreement >= MIN_AGREEMENT


def judge(embed: Embed, photos: Pixels, stored: Vectors, max_batch: int) -> Figures:
    """`stored` are the float32 vectors of `photos`, which are eleven or more and differ."""
    ours = in_batches(embed, photos, max_batch)
    errors = np.linalg.norm(ours - stored, axis=1) / nearest_distances(stored)
    return Figures(
        photos=len(photos),
        cosine=float(np.einsum("nd,nd->n", ours, stored).min()),
        error=float(errors.max()),
        mean_error=float(errors.mean()),
        agreement=_agreement(ours, stored),
        composition=composition(embed, photos, max_batch),
    )


def in_batches(embed: Embed, photos: Pixels, size: int) -> Vectors:
    """The photos' vectors, `size` at a time."""
    pieces = [embed(photos[start : start + size]) for start in range(0, len(photos), size)]
    return np.concatenate(pieces)


def nearest_distances(vectors: Vectors) -> Matrix:
    """For each the distance to the nearest other that is not the same photo; infinite if none."""
    distances = np.sqrt(np.maximum(0, 2 - 2 * _cosines(vectors, vectors)))
    distances[distances < _SAME_DISTANCE] = np.inf
    np.fill_diagonal(distances, np.inf)
    return np.asarray(distances.min(axis=1))


def composition(embed: Embed, photos: Pixels, max_batch: int) -> float:
    """The largest distance between a photo's vector alone and in a batch of any kind tried.

    Tried are the powers of two and the sizes beside them, at every place up to the eighth.
    """
    few = photos[: min(8, len(photos))]
    alone = in_batches(embed, few, 1)
    sizes = {size + by for size in (2, 4, 8, 16, 32) for by in (-1, 0, 1)} | {max_batch}
    distances = [0.0]
    for size in sorted(size for size in sizes if 2 <= size <= max_batch):
        batch = np.resize(np.roll(photos, size, axis=0), (size, *photos.shape[1:]))
        place = size // 2 if size < len(few) else 0
        shared = min(len(few), size - place)
        batch[place : place + shared] = few[:shared]
        together = embed(batch)[place : place + shared]
        distances.append(float(np.linalg.norm(together - alone[:shared], axis=1).max()))
    return max(distances)


def _agreement(ours: Vectors, stored: Vectors) -> float:
    expected, got = (_nearest(_cosines(queries, stored)) for queries in (stored, ours))
    shared = [len(np.intersect1d(e, g)) for e, g in zip(expected, got, strict=True)]
    return sum(shared) / expected.size


def _nearest(cosines: Matrix) -> npt.NDArray[np.intp]:
    np.fill_diagonal(cosines, -np.inf)
    ranked = np.argsort(-cosines, axis=1, kind="stable")
    return ranked[:, : min(NEIGHBOURS, len(cosines) - 1)]


def _cosines(queries: Vectors, vectors: Vectors) -> Matrix:
    """In float64: a distance of 1e-3 is a cosine of 1 - 5e-7."""
    return queries.astype(np.float64) @ vectors.astype(np.float64).T
