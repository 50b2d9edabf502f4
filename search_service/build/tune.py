"""Chooses a forest by measuring: which projection, and how hard it has to look for which recall."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from time import perf_counter

import numpy as np

from search_service.build.projection import principal_directions
from search_service.build.source import SourceError
from search_service.engines import Vectors
from search_service.engines.forest import Forest, build_forest
from search_service.golden import GoldenQueries
from search_service.manifest import EffortPoint, EngineName

WIDTHS = (32, 48, 64, 128, 0)  # 0: all dimensions, annoy as it comes
_DEPTHS = (20, 50, 100, 200, 400)
_FIRST_SEARCH_K = 200
# Steps of the effort: wide up to the recalls that callers ask for, then fine, as each costs them.
_COARSE, _FINE, _FINE_FROM = 2.0, 1.4, 0.8
_LEAST_GAIN = 0.0005
_TIMED_QUERIES = 200
_ENOUGH = 0.99  # the highest recall that a caller may ask for
# A candidate list is cut where it costs less recall than the queries can tell.
_DEPTH_LOSS = 0.001


@dataclass(frozen=True)
class Choice:
    """An engine's files, named by their roles, and what it takes to reach which recall with it."""

    engine: EngineName
    width: int  # of the projection; 0: all dimensions
    trees: int  # 0 without a forest
    efforts: tuple[EffortPoint, ...]
    files: dict[str, Path]  # by role

    def reaches(self, recall: float) -> bool:
        return self.efforts[-1].sure_recall >= recall

    def cost(self, recall: float) -> tuple[float, float]:
        """What to make small: the time of a query at a recall, or else how far it stays below."""
        reached = [point.micros for point in self.efforts if point.sure_recall >= recall]
        return min(reached, default=inf), -self.efforts[-1].recall


def choose(
    vectors: Vectors,
    golden: GoldenQueries,
    folder: Path,
    *,
    widths: tuple[int, ...],
    trees: int,
    target: float,
    seed: int,
    threads: int,
) -> Choice:
    """The fastest forest at the target recall: wider projections as long as they get faster.

    Where none reaches it, the one that comes nearest.
    """
    best: Choice | None = None
    for width in _usable(widths, vectors):
        projection = principal_directions(vectors, width, seed=seed) if width else None
        apart = folder / f"{width}"
        apart.mkdir()
        tried = plant(
            "annoy",
            vectors,
            golden,
            apart,
            projection=projection,
            trees=trees,
            seed=seed,
            threads=threads,
        )
        if best is not None and tried.cost(target) >= best.cost(target):
            shutil.rmtree(apart)
            if best.reaches(target):
                break
            continue
        if best is not None:
            shutil.rmtree(folder / f"{best.width}")
        best = tried
    if best is None:
        most = min(vectors.shape) - 1
        raise SourceError(f"widths: expected one of 0 to {most}, got {list(widths)}")
    for role, path in best.files.items():
        path.rename(folder / role)
    (folder / f"{best.width}").rmdir()
    return replace(best, files={role: folder / role for role in best.files})


def _usable(widths: tuple[int, ...], vectors: Vectors) -> Iterator[int]:
    count, dimension = vectors.shape
    return (width for width in widths if width < min(dimension, count))


def plant(
    engine: EngineName,
    vectors: Vectors,
    golden: GoldenQueries,
    folder: Path,
    *,
    projection: Vectors | None,
    trees: int,
    seed: int,
    threads: int,
) -> Choice:
    """Builds an engine over [n, d] vectors or their projection [d, w], and measures it.

    Its files lie in the folder afterwards, named by their roles.
    """
    if engine != "annoy":
        raise ValueError(f"engine: expected annoy, got {engine}")
    files = {"forest": folder / "forest"}
    projected = vectors
    if projection is not None:
        projected = vectors @ projection
        files["projection"] = folder / "projection"
        with files["projection"].open("wb") as file:
            np.save(file, projection)
    build_forest(files["forest"], projected, trees, seed=seed, threads=threads)
    forest = Forest(files["forest"], vectors.shape[1], projection)
    return Choice(
        engine=engine,
        width=0 if projection is None else projection.shape[1],
        trees=trees,
        efforts=measure(vectors, golden, forest),
        files=files,
    )


def measure(vectors: Vectors, golden: GoldenQueries, forest: Forest) -> tuple[EffortPoint, ...]:
    """The curve of effort, recall and time, by the golden queries; each point gains recall."""
    points = [_point(vectors, golden, forest, _FIRST_SEARCH_K)]
    while points[-1].sure_recall < _ENOUGH and points[-1].effort < 2 * len(vectors):
        step = _COARSE if points[-1].recall < _FINE_FROM else _FINE
        point = _point(vectors, golden, forest, round(points[-1].effort * step))
        gain = point.recall - points[-1].recall
        if gain > 0:
            points.append(point)
        if gain < _LEAST_GAIN:
            break  # the projection, not the effort, is what limits it
    return tuple(points)


def _point(vectors: Vectors, golden: GoldenQueries, forest: Forest, search_k: int) -> EffortPoint:
    # The own item is found first and then left out: it takes places of its own.
    own = golden.most_own
    found = [forest.candidates(query, _DEPTHS[-1] + own, search_k) for query in golden.vectors]
    recalls = golden.recalls_by_depth(vectors, found)
    means = recalls.mean(axis=0)
    places = [min(depth + own, len(means)) for depth in _DEPTHS]
    place = next(place for place in places if means[place - 1] >= means[-1] - _DEPTH_LOSS)
    depth = max(1, place - own)
    at_depth = recalls[:, place - 1]
    return EffortPoint(
        effort=search_k,
        depth=depth,
        recall=float(at_depth.mean()),
        standard_error=float(at_depth.std() / np.sqrt(len(at_depth))),
        micros=_micros(vectors, golden, forest, search_k, depth),
    )


def _micros(
    vectors: Vectors, golden: GoldenQueries, forest: Forest, search_k: int, depth: int
) -> float:
    """The median time of a query, candidates and comparison, one at a time."""
    times = []
    for query in golden.vectors[:_TIMED_QUERIES]:
        begun = perf_counter()
        rows = forest.candidates(query, depth, search_k)
        differences = vectors[rows] - query
        np.argsort(np.einsum("ij,ij->i", differences, differences))
        times.append(perf_counter() - begun)
    return float(np.median(times) * 1e6)
