"""Photos laid out so that near ones lie together: t-SNE in two and three dimensions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]

LEAST = 8  # photos; fewer make no map
_WIDTH = 50


def laid_out(vectors: Vectors, dimensions: int, seed: int = 0) -> Vectors:
    """Places in [0, 1], float32 [n, dimensions], of LEAST vectors or more; the same each time."""
    # 2 s to import.
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    width = min(_WIDTH, len(vectors) - 1, vectors.shape[1])
    # A catalogue of copies has no variance at all; what is divided by it is then 0/0.
    noise = np.random.default_rng(seed).normal(0, 1e-6, vectors.shape).astype(np.float32)
    narrow = PCA(width, random_state=seed).fit_transform(vectors + noise)
    perplexity = min(30.0, (len(vectors) - 1) / 3)
    tsne = TSNE(dimensions, perplexity=perplexity, init="pca", random_state=seed, max_iter=750)
    # Threads that wait for each other: 400 photos took 18 s with two on a busy machine, 5 with one.
    with threadpool_limits(1):
        places = tsne.fit_transform(narrow)
    low, high = places.min(0), places.max(0)
    return np.asarray((places - low) / np.maximum(high - low, 1e-9), np.float32)
