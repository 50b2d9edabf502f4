"""Who is compared: each makes vectors of the same photos."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from embedder_service.images import Pixels
from embedder_service.judging.baselines import (
    HISTOGRAM_DIMENSION,
    HISTOGRAM_SIDES,
    backbone_before,
    histogram,
)
from embedder_service.judging.embedding import OnStep, raw_vectors, read_photos
from embedder_service.model import EmbeddingModel
from embedder_service.spec import Preprocessing
from embedder_service.training.data import Photo

Vectors = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]
Embed = Callable[[Iterable[Pixels], int, OnStep], Vectors]


@dataclass(frozen=True)
class Maker:
    """How pictures become vectors, before normalisation."""

    name: str
    preprocessing: Preprocessing
    embed: Embed


@dataclass(frozen=True)
class Contestant:
    """One of those compared, and its vectors of all photos, of length 1: float32 [photos, d].

    `lengths` [photos, 1] are those that they came with: of a large catalogue nobody wants both.
    """

    name: str
    is_judged: bool
    maker: Maker
    vectors: Vectors
    lengths: Vectors

    @classmethod
    def of(cls, maker: Maker, is_judged: bool, raw: Vectors) -> Contestant:
        """Of the vectors as they come, which it makes its own."""
        lengths = np.sqrt(np.einsum("ij,ij->i", raw, raw))[:, None]
        raw /= np.where(lengths > 0, lengths, 1)
        return cls(maker.name, is_judged, maker, raw, lengths)

    def raw(self, rows: Numbers) -> Vectors:
        """Those of some photos, as they came."""
        raw = self.vectors[rows]
        raw *= self.lengths[rows]
        return raw


def makers_before(model: EmbeddingModel, photos: Sequence[Photo], weights: str) -> list[Maker]:
    """What the model has to beat: a colour histogram, and the backbone that it began from."""
    name, before = backbone_before(model.spec, photos, weights)
    colours = Maker("colour histogram", HISTOGRAM_SIDES, _histograms)
    return [colours, maker_of(name, before)]


def maker_of(name: str, model: EmbeddingModel) -> Maker:
    def embed(pixels: Iterable[Pixels], count: int, on_step: OnStep) -> Vectors:
        return raw_vectors(model, pixels, count, on_step)

    return Maker(name, model.spec.preprocessing, embed)


def contest(maker: Maker, photos: Sequence[Photo], is_judged: bool, on_step: OnStep) -> Contestant:
    """Raises ModelError, CatalogueError."""
    pixels = read_photos(photos, maker.preprocessing)
    raw = maker.embed(pixels, len(photos), on_step)
    return Contestant.of(maker, is_judged, raw)


def _histograms(pixels: Iterable[Pixels], count: int, on_step: OnStep) -> Vectors:
    vectors = np.empty((count, HISTOGRAM_DIMENSION), np.float32)
    for row, picture in enumerate(pixels):
        vectors[row] = histogram(picture)
        on_step(row + 1, count)
    return vectors
