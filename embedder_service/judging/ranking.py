"""Who comes before whom: galleries in the order of their nearness to queries, and what that finds.

Ties come in the gallery's order, as the search service has them in the order of ids.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from embedder_service.judging.distances import Measure, cosine

Vectors = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Shares = npt.NDArray[np.float64]

DEPTH = 10  # how many of the nearest are kept
_SCORES_AT_ONCE = 4_000_000  # their order takes 32 MB


@dataclass(frozen=True)
class Order:
    """Some queries' whole galleries. `columns` is [queries, gallery], the nearest first.

    A query that stands in the gallery itself comes last in its row.
    """

    queries: slice
    columns: Numbers


@dataclass(frozen=True)
class Labels:
    """What queries and gallery show, as numbers; -1 where nobody knows."""

    queries: Numbers
    gallery: Numbers

    @classmethod
    def of(cls, queries: Sequence[str], gallery: Sequence[str]) -> Labels:
        """Of names; an empty one says nothing."""
        names = {name: number for number, name in enumerate(sorted({*queries, *gallery} - {""}))}
        return cls(_numbered(queries, names), _numbered(gallery, names))


@dataclass(frozen=True, kw_only=True)
class Found:
    """What each query found of its own label: arrays over the queries.

    relevant: how many there are to be found. first: the rank of the first found, from 1; 0 where
    there is none. among_ten: how many are among the ten nearest. precision: the average precision;
    0 where nothing is relevant.
    """

    gallery: Numbers  # its size, without the query
    relevant: Numbers
    first: Numbers
    among_ten: Shares
    precision: Shares

    def of(self, queries: Flags) -> Found:
        """Of some queries."""
        return Found(**{name: values[queries] for name, values in vars(self).items()})

    def answerable(self) -> Found:
        """Of the queries that have something to find."""
        return self.of(self.relevant > 0)


@dataclass
class _Finding:
    """What is known of one label while blocks of queries come."""

    labels: Labels
    parts: list[Found] = field(default_factory=list)

    def add(self, order: Order, own: Numbers) -> None:
        """`own` is -1 for queries that do not stand in the gallery."""
        wanted = self.labels.queries[order.queries]
        flags = self.labels.gallery[order.columns] == wanted[:, None]
        flags &= wanted[:, None] >= 0
        stands_within = own >= 0
        flags[stands_within, -1] = False
        rows, places = np.nonzero(flags)
        relevant = np.bincount(rows, minlength=len(flags))
        before = np.cumsum(relevant) - relevant
        turn = np.arange(len(rows)) - before[rows] + 1
        first = np.zeros(len(flags), np.int64)
        first[rows[turn == 1]] = places[turn == 1] + 1
        sums = np.bincount(rows, turn / (places + 1), minlength=len(flags))
        self.parts.append(
            Found(
                gallery=flags.shape[1] - stands_within.astype(np.int64),
                relevant=relevant,
                first=first,
                among_ten=flags[:, :DEPTH].sum(1).astype(np.float64),
                precision=sums / np.maximum(relevant, 1),
            )
        )

    def found(self) -> Found:
        names = vars(self.parts[0])
        return Found(
            **{name: np.concatenate([getattr(p, name) for p in self.parts]) for name in names}
        )


def orders(
    queries: Vectors, gallery: Vectors, own: Numbers, measure: Measure = cosine
) -> Iterator[Order]:
    """The whole gallery's order for each query, some queries at a time.

    `own` has the column of each query in the gallery, -1 where it is not in it.
    """
    rows = max(1, _SCORES_AT_ONCE // max(1, len(gallery)))
    for start in range(0, len(queries), rows):
        scores = measure(queries[start : start + rows], gallery)
        part = slice(start, start + len(scores))
        within = np.flatnonzero(own[part] >= 0)
        scores[within, own[part][within]] = -np.inf
        yield Order(part, np.argsort(-scores, axis=1, kind="stable"))


def find(
    queries: Vectors,
    gallery: Vectors,
    labels: Sequence[Labels],
    own: Numbers | None = None,
    measure: Measure = cosine,
) -> tuple[tuple[Found, ...], Numbers]:
    """What the queries find of each label, and the nearest columns [queries, ten at most].

    Vectors are float32 [n, d]. At least one query.
    """
    own = np.full(len(queries), -1, np.int64) if own is None else own
    findings = [_Finding(each) for each in labels]
    nearest = []
    for order in orders(queries, gallery, own, measure):
        for finding in findings:
            finding.add(order, own[order.queries])
        nearest.append(_without_own(order.columns, own[order.queries])[:, :DEPTH])
    return tuple(finding.found() for finding in findings), np.concatenate(nearest)


def _without_own(columns: Numbers, own: Numbers) -> Numbers:
    """The own photo comes last: where every query has one the last column goes."""
    if len(own) and (own >= 0).all():
        return columns[:, :-1]
    return columns


def _numbered(names: Sequence[str], numbers: dict[str, int]) -> Numbers:
    return np.array([numbers.get(name, -1) for name in names], np.int64)
