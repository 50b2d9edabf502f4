"""Answers as a search service gives them: the ten nearest items, each by its nearest photo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from embedder_service.judging.contestants import Contestant
from embedder_service.judging.ranking import DEPTH, Labels, orders
from embedder_service.judging.retrieval import RANKS, misses_by_chance
from embedder_service.judging.trial import LABELS, Trial
from embedder_service.training.data import Photo

Numbers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Shares = npt.NDArray[np.float64]

_PLACES = np.arange(1, DEPTH + 1)


@dataclass(frozen=True, kw_only=True)
class TopTen:
    """Means over the queries with something to find.

    recall_at_k: the share with a right item among the first k. mean_average_precision: how early
    the right ones come among the first ten, over as many as there could be.
    """

    queries: int
    recall_at_1: float
    recall_at_5: float
    recall_at_10: float
    mean_average_precision: float


class Items:
    """The items of a trial's gallery by number, and which of them are right for its queries."""

    def __init__(self, trial: Trial, places: Numbers) -> None:
        """`places` are those of some queries among the trial's."""
        self._trial, self._places = trial, places
        photos = [trial.photos[row] for row in trial.gallery]
        by_name: dict[str, Photo] = {}
        for photo in photos:
            by_name.setdefault(photo.item_id, photo)
        self._numbers = {name: number for number, name in enumerate(by_name)}
        self._of_gallery = np.array([self._numbers[photo.item_id] for photo in photos], np.int64)
        self.rows = trial.queries[places]
        self.asked = asked = [trial.photos[row] for row in self.rows]
        self._labels = {
            by: Labels.of([label(photo) for photo in asked], [label(p) for p in by_name.values()])
            for by, label in LABELS.items()
        }
        # An item whose only photo is the query itself cannot be found.
        counts = np.bincount(self._of_gallery, minlength=len(by_name))
        own = trial.own[places]
        self._is_alone = (own >= 0) & (counts[self._of_gallery[own]] == 1)

    def relevant(self, by: str) -> Numbers:
        """How many items are right for each query."""
        labels = self._labels[by]
        known = labels.gallery[labels.gallery >= 0]
        counts = np.bincount(known, minlength=int(labels.queries.max(initial=0)) + 1)
        found = counts[labels.queries] - self._is_alone
        return np.asarray(np.where(labels.queries < 0, 0, found), np.int64)

    def numbers(self, answers: Sequence[Sequence[str]]) -> Numbers:
        """Item ids as numbers [queries, ten]; -1 beyond the last, and where no photo is known."""
        found = np.full((len(answers), DEPTH), -1, np.int64)
        for row, names in enumerate(answers):
            numbers = [self._numbers.get(name, -1) for name in names[:DEPTH]]
            found[row, : len(numbers)] = numbers
        return found

    def nearest(self, contestant: Contestant) -> Numbers:
        """By exact search, as `numbers`."""
        queries = contestant.vectors[self.rows]
        gallery, own = contestant.vectors[self._trial.gallery], self._trial.own[self._places]
        found = np.full((len(queries), DEPTH), -1, np.int64)
        for order in orders(queries, gallery, own):
            for row, columns in enumerate(order.columns, order.queries.start):
                items = self._of_gallery[columns[:-1] if own[row] >= 0 else columns]
                first = np.sort(np.unique(items, return_index=True)[1])[:DEPTH]
                found[row, : len(first)] = items[first]
        return found

    def top_ten(self, numbers: Numbers, by: str) -> TopTen | None:
        """None where no query had anything to find."""
        labels, relevant = self._labels[by], self.relevant(by)
        right = (labels.gallery[numbers] == labels.queries[:, None]) & (numbers >= 0)
        right, relevant = right[relevant > 0], relevant[relevant > 0]
        precision = right * np.cumsum(right, axis=1) / _PLACES
        return _top_ten([right[:, :rank].any(1) for rank in RANKS], precision.sum(1), relevant)

    def chance(self, by: str) -> TopTen | None:
        """What items in random order give on average, computed."""
        relevant = self.relevant(by)
        sizes = (len(self._numbers) - self._is_alone.astype(np.int64))[relevant > 0]
        relevant = relevant[relevant > 0]
        hits = [1 - misses_by_chance(sizes, relevant, rank) for rank in RANKS]
        return _top_ten(hits, _expected_precision(sizes, relevant), relevant)


def _top_ten(hits: Sequence[Shares | Flags], precision: Shares, relevant: Numbers) -> TopTen | None:
    if not len(relevant):
        return None
    return TopTen(
        queries=len(relevant),
        recall_at_1=float(np.mean(hits[0])),
        recall_at_5=float(np.mean(hits[1])),
        recall_at_10=float(np.mean(hits[2])),
        mean_average_precision=float(np.mean(precision / np.minimum(relevant, DEPTH))),
    )


def _expected_precision(sizes: Numbers, relevant: Numbers) -> Shares:
    """The sum over ten places: each is right with r/n, and then (r - 1)/(n - 1) of those before."""
    before = (relevant - 1) / np.maximum(sizes - 1, 1)
    at_place = (1 + (_PLACES - 1) * before[:, None]) / _PLACES
    at_place[sizes[:, None] < _PLACES] = 0
    return np.asarray((relevant / sizes) * at_place.sum(1), np.float64)
