"""Whose category is told, by the classifier and by the nearest photos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from embedder_service.judging.ranking import Labels, Vectors, orders
from embedder_service.judging.retrieval import margin
from embedder_service.judging.trial import Trial
from embedder_service.model import EmbeddingModel

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """The shares of `photos` whose class is among the first 1, 3 and 5; margin: as Retrieval's."""

    photos: int
    top_1: float
    top_3: float
    top_5: float
    margin: float


@dataclass(frozen=True)
class Told:
    """What was told of each photo: the rank of its class, from 1, and the class put first."""

    ranks: Numbers
    first: Numbers


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """counts[true][told] over `classes`; the rarest are left out where there are too many."""

    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    left_out: int = 0

    def worst(self, count: int) -> list[tuple[str, str, int, float]]:
        """The likeliest mistakes: the class, what it was taken for, how often, in which share."""
        table = np.array(self.counts)
        mistakes = table * (1 - np.eye(len(table), dtype=np.int64))
        order = np.argsort(-mistakes, axis=None, kind="stable")[:count]
        return [
            (self.classes[row], self.classes[column], int(times), float(times / table[row].sum()))
            for row, column in zip(*np.unravel_index(order, table.shape), strict=True)
            if (times := mistakes[row, column])
        ]


def accuracy(told: Told) -> Accuracy:
    """At least one photo."""
    return Accuracy(
        photos=len(told.ranks),
        top_1=float(np.mean(told.ranks <= 1)),
        top_3=float(np.mean(told.ranks <= 3)),
        top_5=float(np.mean(told.ranks <= 5)),
        margin=margin(told.ranks <= 1),
    )


def chance(photos: int, classes: int) -> Accuracy:
    """Of a random order of the classes."""
    top_1, top_3, top_5 = (min(rank / classes, 1.0) for rank in (1, 3, 5))
    return Accuracy(photos=photos, top_1=top_1, top_3=top_3, top_5=top_5, margin=0.0)


def told_by_nearest(queries: Vectors, gallery: Vectors, labels: Labels, own: Numbers) -> Told:
    """Classes in the order of their nearest photo. A class without a photo ranks after all."""
    ranks = np.empty(len(queries), np.int64)
    first = np.empty(len(queries), np.int64)
    count = int(max(labels.queries.max(), labels.gallery.max())) + 1
    for order in orders(queries, gallery, own):
        for row, columns in enumerate(order.columns, order.queries.start):
            classes = labels.gallery[columns[:-1] if own[row] >= 0 else columns]
            first[row] = classes[0] if len(classes) else -1
            ranks[row] = _rank(classes, labels.queries[row], count)
    return Told(ranks, first)


def _rank(classes: Numbers, wanted: np.int64, count: int) -> int:
    places = np.flatnonzero(classes == wanted)
    if not len(places):
        return count + 1
    return len(np.unique(classes[: places[0]])) + 1


def told_by_classifier(model: EmbeddingModel, raw: Vectors, wanted: Numbers) -> Told:
    """By the model's own classes; `wanted` are their numbers. Of equal logits the first is first.

    `raw` are its vectors before normalisation.
    """
    ranks = np.empty(len(raw), np.int64)
    first = np.empty(len(raw), np.int64)
    with torch.inference_mode():
        for start in range(0, len(raw), 4096):
            part = slice(start, start + 4096)
            logits = model.classify(torch.from_numpy(raw[part])).numpy()
            own = np.take_along_axis(logits, wanted[part, None], axis=1)
            before = np.arange(logits.shape[1]) < wanted[part, None]
            ranks[part] = 1 + (logits > own).sum(1) + ((logits == own) & before).sum(1)
            first[part] = logits.argmax(1)
    return Told(ranks, first)


def confusion(wanted: Numbers, told: Numbers, classes: Sequence[str], most: int) -> Confusion:
    """How often each class was taken for which; the `most` classes with the most photos."""
    counts = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(counts, (wanted, told), 1)
    seen = np.flatnonzero(counts.sum(0) + counts.sum(1))
    kept = np.sort(seen[np.argsort(-counts[seen].sum(1), kind="stable")[:most]])
    table = counts[np.ix_(kept, kept)]
    return Confusion(
        classes=tuple(classes[number] for number in kept),
        counts=tuple(tuple(int(count) for count in row) for row in table),
        left_out=len(seen) - len(kept),
    )


def classes_of(model: EmbeddingModel, trial: Trial) -> tuple[Numbers, Numbers]:
    """Of the trial's queries those whose category the model knows, and the categories' numbers."""
    numbers = {name: number for number, name in enumerate(model.spec.classes)}
    wanted = np.array(
        [numbers.get(trial.photos[row].category, -1) for row in trial.queries], np.int64
    )
    return np.flatnonzero(wanted >= 0), wanted[wanted >= 0]
