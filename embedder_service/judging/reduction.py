"""Fewer dimensions: the principal directions of a catalogue's vectors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from embedder_service.judging.distances import normalised

Vectors = npt.NDArray[np.float32]

_MOST_ROWS = 20_000  # to find the directions by


@dataclass(frozen=True)
class Reduction:
    """`width` directions; `share` of the variance lies along them."""

    width: int
    share: float
    mean: Vectors
    directions: Vectors

    def __call__(self, vectors: Vectors) -> Vectors:
        """[n, d] -> [n, width], each of length 1."""
        # Not of vectors less their mean: that would be a second copy of a large gallery.
        turned = vectors @ self.directions.T - self.directions @ self.mean
        return normalised(np.asarray(turned, np.float32))


def reductions(vectors: Vectors, widths: tuple[int, ...]) -> list[Reduction]:
    """Those narrower than the vectors, that these vectors are enough to find."""
    # 1 s to import.
    from sklearn.decomposition import PCA

    rows = vectors[:: -(-len(vectors) // _MOST_ROWS)] if len(vectors) else vectors
    widths = tuple(width for width in widths if width < min(rows.shape[1], len(rows)))
    if not widths:
        return []
    found = PCA(max(widths), svd_solver="covariance_eigh").fit(rows)
    return [
        Reduction(
            width,
            float(found.explained_variance_ratio_[:width].sum()),
            found.mean_.astype(np.float32),
            found.components_[:width].astype(np.float32),
        )
        for width in widths
    ]
