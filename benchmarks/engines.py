"""Every engine's speed against its recall, beside annoy as it comes: curves, and figures.

python -m benchmarks.engines [--rows N] [--queries N] [--sets easy,wide,hard]

What the builder chooses for a recall is measured on held-out queries: one thread, one query at a
time, all engines asked in turn, so that a noisy machine slows them all.
"""

import argparse
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import pyarrow as pa

from benchmarks import datasets
from benchmarks.curves import Curve, draw
from benchmarks.datasets import Dataset
from benchmarks.record import RESULTS, record, table
from search_service.build.build import draw_golden
from search_service.build.options import BuildOptions
from search_service.build.source import SortedRows
from search_service.build.tune import Choice, choose, tries
from search_service.engines import Engine, Rows, Vectors
from search_service.engines.exact import nearest_rows
from search_service.engines.forest import Forest, build_forest
from search_service.engines.opening import open_engine
from search_service.manifest import EngineName

NEIGHBOURS = 10
TARGETS = {"easy": 0.99, "wide": 0.94, "hard": 0.94}
FIGURES = {"easy": "at_099", "wide": "wide", "hard": "hard"}
TREES = 50
EFFORTS: dict[str, Sequence[int]] = {
    "annoy": [round(200 * 1.4**i) for i in range(22)],
    "graph": (10, 12, 16, 20, 24, 32, 40, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024),
}
DEPTHS = (10, 15, 20, 30, 50, 100, 200, 400)
ROUNDS = 5  # of timing all in turn
_TIMED = 300
_ENOUGH = 0.9975  # a curve ends there
_STEPS = 4  # between the efforts that the target lies between
# A candidate list is cut where it costs less recall than this.
_DEPTH_LOSS = 0.0005

Find = Callable[[Vectors], Rows]


@dataclass(frozen=True)
class Point:
    """An engine at an effort: how many candidates are compared, and what that finds."""

    effort: int
    depth: int
    recall: float
    find: Find


@dataclass(frozen=True)
class Contestant:
    """An engine's points, ascending, and what it took to build."""

    name: str
    points: tuple[Point, ...]
    build_seconds: float

    def least(self, recall: float) -> Point | None:
        return next((point for point in self.points if point.recall >= recall), None)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=datasets.ROWS)
    parser.add_argument("--queries", type=int, default=datasets.QUERIES)
    parser.add_argument("--sets", default=",".join(TARGETS))
    options = parser.parse_args(arguments)
    figures: dict[str, object] = {"rows": options.rows}
    # Only what was measured on everything is kept.
    given = (options.rows, options.queries, options.sets)
    is_full = given == (datasets.ROWS, datasets.QUERIES, ",".join(TARGETS))
    for name in options.sets.split(","):
        dataset: Dataset = getattr(datasets, name)(options.rows, options.queries)
        with tempfile.TemporaryDirectory() as folder:
            figures |= _compare(dataset, Path(folder), is_full=is_full)
    record("engines", figures, is_full_size=is_full)


def _compare(dataset: Dataset, folder: Path, *, is_full: bool) -> dict[str, object]:
    target = TARGETS[dataset.name]
    truth = _truth(dataset)
    contestants = [
        _stock(dataset, truth, folder),
        _chosen(dataset, truth, folder / "annoy", "annoy", target),
        _chosen(dataset, truth, folder / "graph", "graph", target),
    ]
    curves = _timed(contestants, dataset.queries)
    if is_full:
        draw(curves, f"{dataset.name}: {len(dataset.vectors):,} vectors", RESULTS, dataset.name)
    return _figures(dataset, target, contestants, curves)


def _truth(dataset: Dataset) -> list[set[int]]:
    found = nearest_rows(dataset.vectors, dataset.queries, 2 * NEIGHBOURS)
    truth = []
    for query, rows in zip(dataset.queries, found, strict=True):
        order = np.argsort(np.linalg.norm(dataset.vectors[rows] - query, axis=1))
        truth.append(set(rows[order[:NEIGHBOURS]].tolist()))
    return truth


def _stock(dataset: Dataset, truth: list[set[int]], folder: Path) -> Contestant:
    """annoy over all dimensions, whose own ten are its answer."""
    begun = perf_counter()
    build_forest(folder / "stock", dataset.vectors, TREES, seed=0, threads=-1)
    seconds = perf_counter() - begun
    forest = Forest(folder / "stock", dataset.vectors.shape[1], None)

    def point(effort: int) -> Point:
        find = _plain(forest, effort)
        recall = _share([find(query) for query in dataset.queries], truth)
        return Point(effort, NEIGHBOURS, recall, find)

    points = _climb(point, EFFORTS["annoy"], TARGETS[dataset.name])
    return Contestant("annoy as it comes", points, seconds)


def _chosen(
    dataset: Dataset, truth: list[set[int]], folder: Path, engine: EngineName, target: float
) -> Contestant:
    """What the builder makes of the engine for this recall."""
    count = len(dataset.vectors)
    ids = pa.array([f"{row:07d}" for row in range(count)])
    rows = SortedRows(dataset.vectors, ids, ids, np.arange(count), {})
    options = BuildOptions(target_recall=target, trees=TREES)
    begun = perf_counter()
    golden = draw_golden(rows, options.golden_queries, seed=0)
    folder.mkdir()
    choice = choose(tries(dataset.vectors, golden, folder, [engine], options), target)
    seconds = perf_counter() - begun
    opened = _opened(choice, dataset.vectors)
    points = _climb(lambda effort: _point(dataset, truth, opened, effort), EFFORTS[engine], target)
    width = f" over {choice.width} directions" if choice.width else ""
    return Contestant(f"{engine}{width}", points, seconds)


def _climb(
    point: Callable[[int], Point], efforts: Sequence[int], target: float
) -> tuple[Point, ...]:
    """Up the efforts, and in small steps where the target is passed: no engine overshoots it."""
    points: dict[int, Point] = {}
    for effort in efforts:
        points[effort] = point(effort)
        if points[effort].recall >= _ENOUGH:
            break
    below = [effort for effort, found in points.items() if found.recall < target]
    above = [effort for effort, found in points.items() if found.recall >= target]
    if below and above:
        for effort in np.geomspace(below[-1], above[0], _STEPS + 1)[1:-1].round().astype(int):
            points.setdefault(int(effort), point(int(effort)))
    return tuple(points[effort] for effort in sorted(points))


def _opened(choice: Choice, vectors: Vectors) -> Engine:
    projection = np.load(choice.files["projection"]) if choice.width else None
    return open_engine(choice.engine, choice.files, vectors, projection)


def _point(dataset: Dataset, truth: list[set[int]], engine: Engine, effort: int) -> Point:
    """At the least depth that loses nothing to speak of."""
    # An engine's first candidates are the same however many are asked for, but a graph looks at
    # least as far as it answers.
    most = DEPTHS[-1] if engine.name == "annoy" else min(DEPTHS[-1], max(effort, NEIGHBOURS))
    found = engine.candidates(dataset.queries, most, effort)
    depths = [depth for depth in DEPTHS if depth <= most]
    recalls = [
        _share(
            [
                _nearest(dataset.vectors, rows[:depth], query)
                for rows, query in zip(found, dataset.queries, strict=True)
            ],
            truth,
        )
        for depth in depths
    ]
    depth, recall = next(
        (depth, recall)
        for depth, recall in zip(depths, recalls, strict=True)
        if recall >= max(recalls) - _DEPTH_LOSS
    )
    return Point(effort, depth, recall, _reranked(dataset.vectors, engine, effort, depth))


def _plain(forest: Forest, effort: int) -> Find:
    return lambda query: forest.candidates(query[None], NEIGHBOURS, effort)[0]


def _reranked(vectors: Vectors, engine: Engine, effort: int, depth: int) -> Find:
    return lambda query: _nearest(vectors, engine.candidates(query[None], depth, effort)[0], query)


def _nearest(vectors: Vectors, rows: Rows, query: Vectors) -> Rows:
    differences = vectors[rows] - query
    order = np.argsort(np.vecdot(differences, differences))
    nearest: Rows = rows[order[:NEIGHBOURS]]
    return nearest


def _share(found: Sequence[Rows], truth: list[set[int]]) -> float:
    hits = [len(own & set(rows.tolist())) for rows, own in zip(found, truth, strict=True)]
    return sum(hits) / (NEIGHBOURS * len(truth))


def _timed(contestants: Sequence[Contestant], queries: Vectors) -> list[Curve]:
    """Queries a second of each point, the best of several rounds in turn."""
    best = {point: 0.0 for each in contestants for point in each.points}
    for _ in range(ROUNDS):
        for point in best:
            begun = perf_counter()
            for query in queries[:_TIMED]:
                point.find(query)
            seconds = perf_counter() - begun
            best[point] = max(best[point], len(queries[:_TIMED]) / seconds)
    return [
        Curve(
            each.name,
            [point.recall for point in each.points],
            [best[point] for point in each.points],
        )
        for each in contestants
    ]


def _figures(
    dataset: Dataset, target: float, contestants: Sequence[Contestant], curves: Sequence[Curve]
) -> dict[str, object]:
    speeds = [curve.speed_at(target) for curve in curves]
    points = [each.least(target) for each in contestants]
    table(
        f"{dataset.name}: {len(dataset.vectors):,} x {dataset.vectors.shape[1]}, "
        f"{dataset.variance_in(64):.0%} of the variance in 64 directions; "
        f"recall@{NEIGHBOURS} of at least {target} on held-out queries",
        ("engine", "effort", "compared", "recall", "q/s", "times stock", "build s"),
        [
            (
                each.name,
                point.effort if point else "-",
                point.depth if point else "-",
                point.recall if point else each.points[-1].recall,
                speed,
                speed / speeds[0],
                each.build_seconds,
            )
            for each, point, speed in zip(contestants, points, speeds, strict=True)
        ],
    )
    stock, annoy, graph = speeds
    return {
        f"annoy_speedup_{FIGURES[dataset.name]}": round(annoy / stock, 2),
        f"graph_speedup_{FIGURES[dataset.name]}": round(graph / stock, 2),
        f"variance_in_64_{dataset.name}": round(dataset.variance_in(64), 3),
        f"curves_{dataset.name}": {
            curve.name: [
                [round(recall, 4), round(speed)]
                for recall, speed in zip(curve.recalls, curve.speeds, strict=True)
            ]
            for curve in curves
        },
    }


if __name__ == "__main__":
    main()
