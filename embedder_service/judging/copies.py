"""Whether a photo is found again after somebody has changed it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from embedder_service import images
from embedder_service.images import Pixels
from embedder_service.judging.changes import CHANGES, changed
from embedder_service.judging.contestants import Contestant
from embedder_service.judging.distances import normalised
from embedder_service.judging.embedding import ahead
from embedder_service.judging.ranking import Labels, find
from embedder_service.judging.trial import sample
from embedder_service.spec import Preprocessing
from embedder_service.training.data import Catalogue, Photo

Numbers = npt.NDArray[np.int64]
Shares = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Where the similarities to the original lie: shares of copies are below."""

    low: float  # 5 %
    middle: float  # 50 %
    high: float  # 95 %
    matched: float | None  # the share that reaches the threshold of few false matches


@dataclass(frozen=True, kw_only=True)
class Copies:
    """What one contestant makes of the copies, by the name of the change.

    recall_at_1: the original is the nearest photo. item_recall_at_1: it, or another of its item.
    """

    name: str
    is_judged: bool
    recall_at_1: Mapping[str, float]
    item_recall_at_1: Mapping[str, float]
    spread: Mapping[str, Spread]
    similarities: Mapping[str, Shares]


class Originals:
    """Some photos of a catalogue, whose copies are looked for among all of it."""

    def __init__(self, catalogue: Catalogue, most: int) -> None:
        photos = catalogue.photos
        self.rows = sample(np.arange(len(photos)), most)
        self.photos = [photos[row] for row in self.rows]
        files = _numbers_of_files(catalogue)
        items = np.unique([photo.item_id for photo in photos], return_inverse=True)[1]
        self._labels = [Labels(each[self.rows], each) for each in (files, items)]

    def judge(self, contestant: Contestant, threshold: float | None) -> Copies:
        """threshold: of the contestant's space; copies that reach it are counted as matches."""
        own = contestant.vectors[self.rows]
        files, items, similarities = {}, {}, {}
        for change in CHANGES:
            pixels = _pixels(self.photos, change, contestant.maker.preprocessing)
            raw = contestant.maker.embed(pixels, len(self.photos), lambda *_: None)
            copies = normalised(raw)
            (by_file, by_item), _ = find(copies, contestant.vectors, self._labels)
            files[change] = float(np.mean(by_file.first == 1))
            items[change] = float(np.mean(by_item.first == 1))
            to_own = np.einsum("ij,ij->i", copies, own)
            similarities[change] = np.clip(to_own, 0, 1).astype(np.float64)
        return Copies(
            name=contestant.name,
            is_judged=contestant.is_judged,
            recall_at_1=files,
            item_recall_at_1=items,
            spread={name: _spread(values, threshold) for name, values in similarities.items()},
            similarities=similarities,
        )


def _pixels(photos: Sequence[Photo], change: str, preprocessing: Preprocessing) -> Iterator[Pixels]:
    def read(photo: Photo) -> Pixels:
        (pixels,) = images.read(changed(photo, change), preprocessing)
        return pixels

    return ahead(read, photos)


def _numbers_of_files(catalogue: Catalogue) -> Numbers:
    """A number a photo; photos whose files have the same bytes share one: any of them will do."""
    rows = {photo.photo_id: row for row, photo in enumerate(catalogue.photos)}
    numbers = np.arange(len(rows))
    for group in catalogue.copies:
        numbers[[rows[photo_id] for photo_id in group]] = rows[group[0]]
    return numbers


def _spread(similarities: Shares, threshold: float | None) -> Spread:
    low, middle, high = np.percentile(similarities, [5, 50, 95])
    matched = None if threshold is None else float(np.mean(similarities >= threshold))
    return Spread(low=float(low), middle=float(middle), high=float(high), matched=matched)
