"""Which effort of an engine reaches which recall, in which time: by the golden queries."""

import math
from collections.abc import Callable
from math import inf
from time import perf_counter
from typing import Final

import numpy as np

from search_service.engines import Engine, Vectors
from search_service.golden import GoldenQueries
from search_service.manifest import EffortPoint

_DEPTHS = (20, 30, 50, 100, 200, 400)
_NEIGHBOURS = 10  # what the recall counts
_FIRST_EFFORTS: Final = {"annoy": 200, "graph": 16}
# Steps of the effort: wide up to the recalls that callers ask for, then fine, as each costs them.
_COARSE, _FINE, _FINE_FROM = 2.0, 1.4, 0.8
_LEAST_GAIN = 0.0005
_TIMED_QUERIES = 200
# What callers may ask for; there the steps are halved so often.
_ASKED = (0.90, 0.95, 0.99)
_ENOUGH = _ASKED[-1]
_HALVINGS = 2
# A candidate list is cut where it costs less recall than the queries can tell.
_DEPTH_LOSS = 0.001


def measure(
    vectors: Vectors, golden: GoldenQueries, engine: Engine, most_micros: float = inf
) -> tuple[EffortPoint, ...]:
    """The curve of effort, recall and time; each point gains recall.

    It ends at the recall that callers may ask for, or once a query takes more than `most_micros`.
    """
    points = _climbed(vectors, golden, engine, most_micros)
    for recall in _ASKED:
        points = _refined(points, recall, lambda effort: _point(vectors, golden, engine, effort))
    return tuple(points)


def _climbed(
    vectors: Vectors, golden: GoldenQueries, engine: Engine, most_micros: float
) -> list[EffortPoint]:
    points = [_point(vectors, golden, engine, _FIRST_EFFORTS[engine.name])]
    while points[-1].sure_recall < _ENOUGH and points[-1].effort < 2 * len(vectors):
        step = _COARSE if points[-1].recall < _FINE_FROM else _FINE
        point = _point(vectors, golden, engine, round(points[-1].effort * step))
        gain = point.recall - points[-1].recall
        if gain > 0:
            points.append(point)
        if point.micros > most_micros:
            break
        if gain < _LEAST_GAIN:
            break  # the projection, not the effort, is what limits it
    return points


def _refined(
    points: list[EffortPoint], recall: float, measured: Callable[[int], EffortPoint]
) -> list[EffortPoint]:
    """With points between the last that misses a recall and the first that reaches it."""
    for _ in range(_HALVINGS):
        at = next((i for i, point in enumerate(points) if point.sure_recall >= recall), 0)
        if not at:
            return points
        below, above = points[at - 1 : at + 1]
        effort = round(math.sqrt(below.effort * above.effort))
        if not below.effort < effort < above.effort:
            return points
        point = measured(effort)
        if not below.recall < point.recall < above.recall:
            return points
        points = [*points[:at], point, *points[at:]]
    return points


def micros(vectors: Vectors, queries: Vectors, engine: Engine, depth: int, effort: int) -> float:
    """The median time of a query, candidates and comparison, one at a time."""
    times = []
    for query in queries[:_TIMED_QUERIES]:
        begun = perf_counter()
        (rows,) = engine.candidates(query[None], depth, effort)
        differences = vectors[rows] - query
        np.argsort(np.einsum("ij,ij->i", differences, differences))
        times.append(perf_counter() - begun)
    return float(np.median(times) * 1e6)


def _point(vectors: Vectors, golden: GoldenQueries, engine: Engine, effort: int) -> EffortPoint:
    # The own item is found first and then left out: it takes places of its own.
    own = golden.most_own
    count = _DEPTHS[-1] + own
    if engine.name == "graph":  # it looks at least as far as it answers
        count = min(count, max(effort, _NEIGHBOURS + own))
    found = engine.candidates(golden.vectors, count, effort)
    recalls = golden.recalls_by_depth(vectors, found)
    means = recalls.mean(axis=0)
    places = [min(depth + own, len(means)) for depth in _DEPTHS]
    place = next(place for place in places if means[place - 1] >= means[-1] - _DEPTH_LOSS)
    depth = max(1, place - own)
    at_depth = recalls[:, place - 1]
    return EffortPoint(
        effort=effort,
        depth=depth,
        recall=float(at_depth.mean()),
        standard_error=float(at_depth.std() / np.sqrt(len(at_depth))),
        micros=micros(vectors, golden.vectors, engine, depth, effort),
    )
