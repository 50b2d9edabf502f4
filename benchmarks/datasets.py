"""Vectors to measure on: made here, the same each time, with queries that are not among them."""

from dataclasses import dataclass

import numpy as np

from search_service.engines import Vectors

ROWS = 249_222  # the first article's training and validation photos
QUERIES = 1_000
CENTRES = 3_000
BETWEEN, WITHIN = 1.2, 0.6  # standard deviations of the centres, and around them


@dataclass(frozen=True)
class Dataset:
    """Unit vectors [n, d] and held-out queries [q, d]."""

    name: str
    vectors: Vectors
    queries: Vectors


def easy(rows: int = ROWS, queries: int = QUERIES) -> Dataset:
    """A 32-d mixture through two random ReLU layers: what a trained embedding is like."""
    return _mixture("easy", rows, queries, latent=32)


def wide(rows: int = ROWS, queries: int = QUERIES) -> Dataset:
    """The same with a 128-d latent: fewer directions can be left out."""
    return _mixture("wide", rows, queries, latent=128)


def _mixture(name: str, rows: int, queries: int, latent: int) -> Dataset:
    generator = np.random.default_rng(0)
    centres = generator.standard_normal((CENTRES, latent), np.float32) * np.float32(BETWEEN)
    first = generator.standard_normal((latent, 256), np.float32) / np.float32(np.sqrt(latent))
    second = generator.standard_normal((256, 512), np.float32) / np.float32(np.sqrt(256))
    drawn = np.empty((rows + queries, 512), np.float32)
    for start in range(0, len(drawn), 65_536):
        stop = min(start + 65_536, len(drawn))
        points = centres[generator.integers(0, CENTRES, stop - start)]
        points = points + generator.standard_normal(points.shape, np.float32) * np.float32(WITHIN)
        lifted = np.maximum(np.maximum(points @ first, 0) @ second, 0)
        drawn[start:stop] = lifted / np.linalg.norm(lifted, axis=1, keepdims=True)
    return Dataset(name, drawn[:rows], drawn[rows:])
