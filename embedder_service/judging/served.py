"""The same queries through a search service: what it finds, how fast, what exact search adds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Protocol

import numpy as np
import numpy.typing as npt

from embedder_service.judging.contestants import Contestant
from embedder_service.judging.ranking import DEPTH
from embedder_service.judging.top_ten import Items, TopTen
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
class ServedRow:
    """Lists of items: by exact search here, or as the service gave them."""

    name: str
    is_served: bool
    item: TopTen | None
    category: TopTen | None


@dataclass(frozen=True, kw_only=True)
class Served:
    """What a service answered to `queries` queries, one at a time.

    described: which service. agreement: of the ten nearest items by exact search, the share that
    the index's own way found. known: the share of the items found that the gallery has.
    own_photos: queries whose very photo the index holds; it is then left out of the answer.
    """

    described: str
    queries: int
    rows: tuple[ServedRow, ...]
    agreement: float
    known: float
    own_photos: int
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True)
class _Answers:
    """Item ids a query, the nearest first."""

    by_default: list[list[str]]
    exact: list[list[str]]
    seconds: list[float]
    own_photos: int


def judge_served(
    search: Search, described: str, trial: Trial, contestants: Sequence[Contestant]
) -> Served:
    """The last contestant's vectors are those that the service knows."""
    items = _items(trial)
    answers = _asked(search, items, contestants[-1].vectors)
    numbers = items.numbers(answers.by_default)
    through = {
        "through the service, exact": items.numbers(answers.exact),
        "through the service": numbers,
    }
    chance = ServedRow(
        name="chance",
        is_served=False,
        item=items.chance("item"),
        category=items.chance("category"),
    )
    here = [_row(each.name, False, items, items.nearest(each)) for each in contestants]
    there = [_row(name, True, items, each) for name, each in through.items()]
    given = sum(map(len, answers.by_default))
    return Served(
        described=described,
        queries=len(items.asked),
        rows=(chance, *here, *there),
        agreement=_agreement(answers.by_default, answers.exact),
        known=float((numbers >= 0).sum() / given) if given else 0.0,
        own_photos=answers.own_photos,
        p50_ms=float(np.percentile(answers.seconds, 50)) * 1000,
        p99_ms=float(np.percentile(answers.seconds, 99)) * 1000,
    )


def _items(trial: Trial) -> Items:
    """With the queries that have an own item to find; where none has one, with all."""
    every = np.arange(len(trial.queries))
    has_own = np.flatnonzero(Items(trial, every).relevant("item"))
    return Items(trial, sample(has_own if len(has_own) else every, MOST_QUERIES))


def _asked(search: Search, items: Items, vectors: Vectors) -> _Answers:
    by_default, exact, seconds, own_photos = [], [], [], 0
    for row, photo in zip(items.rows, items.asked, strict=True):
        begun = perf_counter()
        hits = search(vectors[row], DEPTH + 1, False)
        seconds.append(perf_counter() - begun)
        own_photos += any(photo.photo_id == found for hit in hits for found, _ in hit.photos)
        by_default.append(_names(hits, photo.photo_id))
        exact.append(_names(search(vectors[row], DEPTH + 1, True), photo.photo_id))
    return _Answers(by_default, exact, seconds, own_photos)


def _row(name: str, is_served: bool, items: Items, numbers: Numbers) -> ServedRow:
    return ServedRow(
        name=name,
        is_served=is_served,
        item=items.top_ten(numbers, "item"),
        category=items.top_ten(numbers, "category"),
    )


def _names(hits: Sequence[Hit], without: str) -> list[str]:
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
