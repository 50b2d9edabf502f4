"""Photos of a catalogue that show the same: pairs above a similarity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from embedder_service.judging.contestants import Contestant
from embedder_service.judging.copies import Copies
from embedder_service.judging.findings import Duplicate, Duplicates
from embedder_service.training.data import Photo

Vectors = npt.NDArray[np.float32]

_SIMILARITIES_AT_ONCE = 8_000_000
_SHOWN = 60
_NEAR_AS = "recompressed"  # the change that a near-duplicate is at least as near as


@dataclass(frozen=True)
class Pair:
    """Rows of two photos, left before right."""

    left: int
    right: int
    similarity: float


def near_duplicates(
    photos: Sequence[Photo], judged: Contestant, copied: Copies, above: float
) -> Duplicates:
    """From the similarity `above` on; 0 takes the median of the recompressed copies."""
    threshold = above or copied.spread[_NEAR_AS].middle
    count, nearest = near_pairs(judged.vectors, threshold, _SHOWN)
    return Duplicates(
        threshold=threshold,
        is_given=above > 0,
        found=count,
        pairs=tuple(
            Duplicate(
                left=photos[pair.left].photo_id,
                right=photos[pair.right].photo_id,
                similarity=pair.similarity,
                same_item=photos[pair.left].item_id == photos[pair.right].item_id,
            )
            for pair in nearest
        ),
    )


def near_pairs(vectors: Vectors, threshold: float, most: int) -> tuple[int, list[Pair]]:
    """How many pairs have at least this similarity, and the nearest of them; ties by row.

    `vectors` [n, d] of length 1. Memory does not grow with n squared, time does.
    """
    rows = max(1, _SIMILARITIES_AT_ONCE // max(1, len(vectors)))
    count, kept = 0, np.empty((0, 3))
    for start in range(0, len(vectors), rows):
        block = vectors[start : start + rows] @ vectors[start:].T
        left, right = np.nonzero(block >= threshold)
        later = right > left
        left, right = left[later], right[later]
        count += len(left)
        found = np.stack([left + start, right + start, block[left, right]], axis=1)
        kept = np.concatenate([kept, found])
        kept = kept[np.lexsort((kept[:, 1], kept[:, 0], -kept[:, 2]))][:most]
    return count, [Pair(int(one), int(other), min(float(s), 1.0)) for one, other, s in kept]
