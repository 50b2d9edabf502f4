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
    distances = queries @ gallery.T
    distances *= -2
    distances += _squares(queries)[:, None]
    distances += _squares(gallery)
    return _less(distances)


def manhattan(queries: Vectors, gallery: Vectors) -> Vectors:
    """Less the sum of absolute differences."""
    return _less(torch.cdist(torch.from_numpy(queries), torch.from_numpy(gallery), p=1).numpy())


def _squares(vectors: Vectors) -> Vectors:
    """Sums along each; einsum makes no copy of a gallery that fills the memory."""
    return np.asarray(np.einsum("ij,ij->i", vectors, vectors), np.float32)


def _less(distances: Vectors) -> Vectors:
    return np.negative(distances, out=distances)
