"""How near two vectors are, three ways; greater is nearer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

Vectors = npt.NDArray[np.float32]
Measure = Callable[[Vectors, Vectors], Vectors]  # [q, d], [g, d] -> [q, g]


def normalised(vectors: Vectors) -> Vectors:
    """Each of length 1; a vector of zeros stays one."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)


def cosine(queries: Vectors, gallery: Vectors) -> Vectors:
    """The cosine of vectors of length 1."""
    return queries @ gallery.T


def euclidean(queries: Vectors, gallery: Vectors) -> Vectors:
    """Less the Euclidean distance, squared: it ranks the same."""
    return _less((queries**2).sum(1)[:, None] + (gallery**2).sum(1) - 2 * queries @ gallery.T)


def manhattan(queries: Vectors, gallery: Vectors) -> Vectors:
    """Less the sum of absolute differences."""
    return _less(torch.cdist(torch.from_numpy(queries), torch.from_numpy(gallery), p=1).numpy())


def _less(distances: Vectors) -> Vectors:
    return np.negative(distances, out=distances)
