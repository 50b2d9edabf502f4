"""annoy over a projection with exact comparison, against annoy as it comes: q/s at one recall.

python -m benchmarks.annoy_speed [--rows N] [--sets easy,wide]

One thread, one query at a time, the two forests asked in turn, so that a noisy machine slows both.
"""

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np

from benchmarks import datasets
from benchmarks.datasets import Dataset
from benchmarks.record import record, table
from search_service.build.projection import principal_directions
from search_service.engines import Rows, Vectors
from search_service.engines.exact import nearest_rows
from search_service.engines.forest import Forest, build_forest

NEIGHBOURS = 10
TARGETS = {"easy": 0.99, "wide": 0.94}
WIDTHS = {"easy": (32, 48, 64), "wide": (64, 96, 128)}
SEARCH_KS = (200, 400, 800, 1200, 1600, 2400, 3200, 4800, 6400, 9600, 12800, 25600, 51200, 102400)
DEPTHS = (20, 50, 100, 200, 400)
TREES = 50
ROUNDS = 5  # times the two are timed in turn

Find = Callable[[Vectors], Rows]


@dataclass(frozen=True)
class Setting:
    """The least effort at which a forest reaches the recall."""

    name: str
    search_k: int
    depth: int
    recall: float
    find: Find


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=datasets.ROWS)
    parser.add_argument("--queries", type=int, default=datasets.QUERIES)
    parser.add_argument("--sets", default="easy,wide")
    options = parser.parse_args()
    figures: dict[str, object] = {"rows": options.rows}
    with tempfile.TemporaryDirectory() as folder:
        for name in options.sets.split(","):
            dataset: Dataset = getattr(datasets, name)(options.rows, options.queries)
            figures |= _compare(dataset, Path(folder))
    record("annoy_speed", figures, is_full_size=_is_full(options))


def _is_full(options: argparse.Namespace) -> bool:
    """Only what was measured on everything is kept."""
    given = (options.rows, options.queries, options.sets)
    return given == (datasets.ROWS, datasets.QUERIES, "easy,wide")


def _compare(dataset: Dataset, folder: Path) -> dict[str, object]:
    truth = _truth(dataset)
    settings, seconds = [], {}
    for width in (0, *WIDTHS[dataset.name]):
        begun = perf_counter()
        forest = _planted(dataset, folder, width)
        seconds[width] = perf_counter() - begun
        found = _least(dataset, truth, forest, width)
        if found is not None:
            settings.append((width, found))
    speeds = _timed([setting.find for _, setting in settings], dataset.queries)
    table(
        f"{dataset.name}: {len(dataset.vectors):,} x {dataset.vectors.shape[1]}, "
        f"recall@{NEIGHBOURS} of at least {TARGETS[dataset.name]} on held-out queries",
        ("forest over", "search_k", "compared", "recall", "q/s", "times stock", "build s"),
        [
            (
                setting.name,
                setting.search_k,
                setting.depth,
                setting.recall,
                speed,
                speed / speeds[0],
                seconds[width],
            )
            for (width, setting), speed in zip(settings, speeds, strict=True)
        ],
    )
    suffix = f"{dataset.name}_at_{TARGETS[dataset.name]}"
    return {
        f"annoy_speedup_{suffix}": round(max(speeds) / speeds[0], 2),
        f"stock_qps_{suffix}": round(speeds[0]),
        f"best_qps_{suffix}": round(max(speeds)),
    }


def _truth(dataset: Dataset) -> list[set[int]]:
    found = nearest_rows(dataset.vectors, dataset.queries, 2 * NEIGHBOURS)
    truth = []
    for query, rows in zip(dataset.queries, found, strict=True):
        order = np.argsort(np.linalg.norm(dataset.vectors[rows] - query, axis=1))
        truth.append(set(rows[order[:NEIGHBOURS]].tolist()))
    return truth


def _planted(dataset: Dataset, folder: Path, width: int) -> Forest:
    projection = principal_directions(dataset.vectors, width, seed=0) if width else None
    path = folder / f"{dataset.name}-{width}"
    projected = dataset.vectors if projection is None else dataset.vectors @ projection
    build_forest(path, projected, TREES, seed=0, threads=-1)
    return Forest(path, dataset.vectors.shape[1], projection)


def _least(dataset: Dataset, truth: list[set[int]], forest: Forest, width: int) -> Setting | None:
    name = f"{width} directions" if width else "all dimensions (stock)"
    for search_k in SEARCH_KS:
        # Stock annoy ranks by the true distance: its own ten are its answer.
        for depth in DEPTHS if width else (NEIGHBOURS,):
            find = (
                _reranked(dataset.vectors, forest, search_k, depth)
                if width
                else _plain(forest, search_k)
            )
            recall = _recall(find, dataset.queries, truth)
            if recall >= TARGETS[dataset.name]:
                return Setting(name, search_k, depth, recall, find)
    return None


def _plain(forest: Forest, search_k: int) -> Find:
    return lambda query: forest.candidates(query, NEIGHBOURS, search_k)


def _reranked(vectors: Vectors, forest: Forest, search_k: int, depth: int) -> Find:
    def find(query: Vectors) -> Rows:
        rows = forest.candidates(query, depth, search_k)
        differences = vectors[rows] - query
        order = np.argsort(np.einsum("ij,ij->i", differences, differences))
        nearest: Rows = rows[order[:NEIGHBOURS]]
        return nearest

    return find


def _recall(find: Find, queries: Vectors, truth: list[set[int]]) -> float:
    hits = [
        len(nearest & set(find(query).tolist()))
        for query, nearest in zip(queries, truth, strict=True)
    ]
    return sum(hits) / (NEIGHBOURS * len(queries))


def _timed(finds: list[Find], queries: Vectors) -> list[float]:
    """Queries a second of each, the best of several rounds in turn."""
    best = [0.0] * len(finds)
    timed = queries[:300]
    for _ in range(ROUNDS):
        for i, find in enumerate(finds):
            begun = perf_counter()
            for query in timed:
                find(query)
            best[i] = max(best[i], len(timed) / (perf_counter() - begun))
    return best


if __name__ == "__main__":
    main()
