"""Which photos are looked for, and among which."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from embedder_service.judging.ranking import Labels
from embedder_service.training.data import Catalogue, CatalogueError, Photo

Numbers = npt.NDArray[np.int64]
Kind = Literal["held-out", "each"]
LABELS: Mapping[str, Callable[[Photo], str]] = {
    "item": lambda photo: photo.item_id,
    "category": lambda photo: photo.category,
}


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Rows of `photos`. With the kind "each" every photo is looked for among all others.

    asked: how many queries there are, of which `queries` may be a sample.
    """

    kind: Kind
    photos: tuple[Photo, ...]
    queries: Numbers
    gallery: Numbers
    asked: int

    @cached_property
    def own(self) -> Numbers:
        """Each query's column in the gallery, -1 where it is not in it."""
        columns = np.full(len(self.photos), -1, np.int64)
        columns[self.gallery] = np.arange(len(self.gallery))
        return np.asarray(columns[self.queries], np.int64)

    def labels(self, label: Callable[[Photo], str]) -> Labels:
        """What queries and gallery show."""
        names = [label(photo) for photo in self.photos]
        return Labels.of([names[row] for row in self.queries], [names[row] for row in self.gallery])


def retrieval_trial(catalogue: Catalogue, kind: Kind | None, most_queries: int) -> Trial:
    """The catalogue's held-out photos among its gallery; of a catalogue without them, each photo.

    More than `most_queries` are sampled, evenly. Raises CatalogueError where held-out ones are
    asked for and there are none.
    """
    if kind != "each" and catalogue.queries and catalogue.gallery:
        return _trial(catalogue, "held-out", catalogue.queries, catalogue.gallery, most_queries)
    if kind == "held-out":
        raise CatalogueError(
            f"queries: expected photos of the split test or query in {catalogue.folder}, and "
            "others to look among, got none; --queries each looks for every photo"
        )
    return _trial(catalogue, "each", catalogue.photos, catalogue.photos, most_queries)


def class_trial(catalogue: Catalogue, trial: Trial, most_queries: int) -> Trial:
    """Whose category is to be told: the photos of the test split that have one.

    The nearest are looked for among the others. Where there is no test, as in the retrieval.
    """
    tested = catalogue.of("test")
    rest = tuple(photo for photo in catalogue.photos if photo.split != "test")
    if trial.kind == "each" or not tested or not rest:
        tested = tuple(trial.photos[row] for row in trial.queries)
        rest = tuple(trial.photos[row] for row in trial.gallery)
    known = tuple(photo for photo in tested if photo.category)
    among = tuple(photo for photo in rest if photo.category)
    return _trial(catalogue, trial.kind, known, among, most_queries)


def _trial(
    catalogue: Catalogue,
    kind: Kind,
    queries: tuple[Photo, ...],
    gallery: tuple[Photo, ...],
    most_queries: int,
) -> Trial:
    rows = {photo.photo_id: row for row, photo in enumerate(catalogue.photos)}
    asked = np.array([rows[photo.photo_id] for photo in queries], np.int64)
    return Trial(
        kind=kind,
        photos=catalogue.photos,
        queries=sample(asked, most_queries),
        gallery=np.array([rows[photo.photo_id] for photo in gallery], np.int64),
        asked=len(asked),
    )


def sample(rows: Numbers, most: int) -> Numbers:
    """At most so many of them, evenly spread, in their order."""
    if len(rows) <= most:
        return rows
    return np.asarray(rows[np.arange(most) * len(rows) // most], np.int64)
