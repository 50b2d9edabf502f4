"""The same queries through a search service: what it finds, how fast, what exact search adds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Protocol

import numpy as np
import numpy.typing as npt

from embedder_service.judging.classes import told_by_nearest
from embedder_service.judging.contestants import Contestant
from embedder_service.judging.ranking import DEPTH
from embedder_service.judging.trial import Trial, sample

Vectors = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]

MOST_QUERIES = 300


@dataclass(frozen=True)
class Hit:
    """An item that a service found, with its nearest photos first: id and similarity."""

    item_id: str
    photos: tuple[tuple[str, float], ...]


class Search(Protocol):
    """A search service, asked with one vector of length 1."""

    def __call__(self, vector: Vectors, count: int, exact: bool) -> Sequence[Hit]:
        """The `count` nearest items with two photos each at most."""


@dataclass(frozen=True, kw_only=True)
class ItemRow:
    """The share of queries whose own item is among the first 1, 5 and 10 items."""

    name: str
    recall_at_1: float
    recall_at_5: float
    recall_at_10: float


@dataclass(frozen=True, kw_only=True)
class Served:
    """What a service answered to `queries` queries, one at a time.

    described: which service. agreement: of the ten nearest items by exact search, the share that
    the index's own way found. known: the share of the items found that the catalogue has.
    own_photos: queries whose very photo the index holds; it is then left out of the answer.
    """

    described: str
    queries: int
    rows: tuple[ItemRow, ...]
    agreement: float
    known: float
    own_photos: int
    p50_ms: float
    p99_ms: float


def judge_served(
    search: Search, described: str, trial: Trial, contestants: Sequence[Contestant]
) -> Served:
    """The last contestant's vectors are those that the service knows."""
    rows, has_own = _queries(trial)
    vectors, photos = contestants[-1].vectors, trial.photos
    ids = {photos[row].item_id for row in range(len(photos))}
    answers, exact, times, own_photos, known = [], [], [], 0, []
    for row in trial.queries[rows]:
        begun = perf_counter()
        hits = search(vectors[row], DEPTH + 1, False)
        times.append(perf_counter() - begun)
        photo_id = photos[row].photo_id
        own_photos += any(photo_id == found for hit in hits for found, _ in hit.photos)
        known += [hit.item_id in ids for hit in hits]
        answers.append(_items(hits, photo_id))
        exact.append(_items(search(vectors[row], DEPTH + 1, True), photo_id))
    wanted = [photos[row].item_id for row in trial.queries[rows]]
    through = {"through the service, exact": exact, "through the service": answers}
    return Served(
        described=described,
        queries=len(rows),
        rows=(
            *(_compared(trial, rows, contestants) if has_own else ()),
            *(_row(name, _ranks(found, wanted)) for name, found in through.items() if has_own),
        ),
        agreement=_agreement(answers, exact),
        known=float(np.mean(known)) if known else 0.0,
        own_photos=own_photos,
        p50_ms=float(np.percentile(times, 50)) * 1000,
        p99_ms=float(np.percentile(times, 99)) * 1000,
    )


def _queries(trial: Trial) -> tuple[Numbers, bool]:
    """Places among the trial's queries: those with an own item to find, where any has one."""
    labels = trial.labels(lambda photo: photo.item_id)
    counts = np.bincount(labels.gallery, minlength=labels.queries.max() + 1)
    has_own = np.flatnonzero(counts[labels.queries] > (trial.own >= 0))
    every = np.arange(len(trial.queries))
    return sample(has_own if len(has_own) else every, MOST_QUERIES), len(has_own) > 0


def _compared(trial: Trial, rows: Numbers, contestants: Sequence[Contestant]) -> list[ItemRow]:
    """The others, by exact search here, in items as the service counts."""
    items = len({trial.photos[row].item_id for row in trial.gallery})
    by_chance = (min(rank / items, 1.0) for rank in (1, 5, 10))
    found = [ItemRow(name="chance", **dict(zip(_RECALLS, by_chance, strict=True)))]
    labels = trial.labels(lambda photo: photo.item_id)
    part = type(labels)(labels.queries[rows], labels.gallery)
    for each in contestants:
        queries, gallery = each.vectors[trial.queries[rows]], each.vectors[trial.gallery]
        told = told_by_nearest(queries, gallery, part, trial.own[rows])
        found.append(_row(each.name, told.ranks))
    return found


_RECALLS = ("recall_at_1", "recall_at_5", "recall_at_10")


def _row(name: str, ranks: Numbers) -> ItemRow:
    shares = (float(np.mean(ranks <= rank)) for rank in (1, 5, 10))
    return ItemRow(name=name, **dict(zip(_RECALLS, shares, strict=True)))


def _ranks(answers: Sequence[Sequence[str]], wanted: Sequence[str]) -> Numbers:
    """From 1; beyond the depth where the item was not found."""
    return np.array(
        [
            items.index(item) + 1 if item in items else DEPTH + 1
            for items, item in zip(answers, wanted, strict=True)
        ],
        np.int64,
    )


def _items(hits: Sequence[Hit], without: str) -> list[str]:
    """The ids of the ten nearest items once a photo is left out of them."""
    left = [
        (-similarity, place, hit.item_id)
        for place, hit in enumerate(hits)
        for similarity in [_nearest(hit, without)]
        if similarity is not None
    ]
    return [item for _, _, item in sorted(left)[:DEPTH]]


def _nearest(hit: Hit, without: str) -> float | None:
    return next((near for photo_id, near in hit.photos if photo_id != without), None)


def _agreement(answers: Sequence[Sequence[str]], exact: Sequence[Sequence[str]]) -> float:
    shares = [
        len(set(found) & set(true)) / len(true)
        for found, true in zip(answers, exact, strict=True)
        if true
    ]
    return float(np.mean(shares)) if shares else 1.0
