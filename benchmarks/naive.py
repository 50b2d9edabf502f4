"""The articles' comparison: one by one, one product, annoy as it comes, and ours.

python -m benchmarks.naive [--rows N] [--queries N] [--sets first,second]

249,222 x 512 are the first article's photos, 9,144 x 2,048 the second's. One by one is timed on
1,000 of the rows and scaled up: 249,222 take seconds a query.
"""

import argparse
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter

import numpy as np

from benchmarks import datasets
from benchmarks.catalogues import ids, options, published
from benchmarks.record import record, table
from search_service.build import BuildOptions
from search_service.engines import Vectors
from search_service.engines.forest import Forest, build_forest

# Of the first and the second article: rows, dimensions, classes.
SETS = {"first": (datasets.ROWS, 512, 46), "second": (9_144, 2_048, 102)}
_ONE_BY_ONE = 1_000


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=datasets.ROWS, help="at most so many")
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--sets", default=",".join(SETS))
    given = parser.parse_args(arguments)
    figures: dict[str, object] = {}
    for name in given.sets.split(","):
        rows, dimension, classes = SETS[name]
        with tempfile.TemporaryDirectory() as folder:
            rows = min(rows, given.rows)
            vectors, queries = _drawn(rows, dimension, given.queries)
            found = _compared(vectors, queries, classes, Path(folder))
            table(
                f"the {name} article: {rows:,} x {dimension:,}",
                ("", "ms a query", "recall@10"),
                found,
            )
            figures[name] = [
                {"how": how, "ms": round(millis, 3), "recall": round(recall, 3)}
                for how, millis, recall in found
            ]
    full = (given.rows, given.queries, given.sets) == (datasets.ROWS, 100, ",".join(SETS))
    record("naive", figures, is_full_size=full)


def _drawn(rows: int, dimension: int, queries: int) -> tuple[Vectors, Vectors]:
    """The easy set, turned into more dimensions by a random map."""
    easy = datasets.easy(rows, queries)
    if dimension == easy.vectors.shape[1]:
        return easy.vectors, easy.queries
    shape = (easy.vectors.shape[1], dimension)
    turned = np.random.default_rng(2).standard_normal(shape, np.float32)
    both = [np.maximum(each @ turned, 0) for each in (easy.vectors, easy.queries)]
    vectors, asked = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in both)
    return vectors, asked


def _compared(
    vectors: Vectors, queries: Vectors, classes: int, folder: Path
) -> list[tuple[str, float, float]]:
    truth = [set(np.argsort(-(vectors @ query))[:10].tolist()) for query in queries]
    scale = len(vectors) / min(_ONE_BY_ONE, len(vectors))
    build_forest(folder / "stock", vectors, classes, seed=0, threads=-1)
    stock = Forest(folder / "stock", vectors.shape[1], None)
    ours = {
        engine: published(vectors, folder / engine, BuildOptions(engine=engine))
        for engine in ("annoy", "graph")
    }
    asked = options(0.99)

    def by_ids(engine: str) -> Callable[[Vectors], set[int]]:
        return lambda query: {int(each[-7:]) for each in ids(ours[engine], query, asked)}

    one_by_one = scale * _millis(
        lambda query: _one_by_one(vectors[:_ONE_BY_ONE], query), queries[:5]
    )
    ways: list[tuple[str, Callable[[Vectors], set[int]]]] = [
        ("numpy, one product", lambda query: _one_product(vectors, query)),
        (
            f"annoy as the article, {classes} trees",
            lambda query: set(stock.candidates(query[None], 10, -1)[0].tolist()),
        ),
        ("ours, annoy", by_ids("annoy")),
        ("ours, graph", by_ids("graph")),
    ]
    return [
        (f"Python, one by one (from {min(_ONE_BY_ONE, len(vectors)):,} rows)", one_by_one, 1.0),
        *((name, _millis(way, queries), _recall(way, queries, truth)) for name, way in ways),
    ]


def _one_by_one(vectors: Vectors, query: Vectors) -> set[int]:
    """As the articles: a cosine at a time."""
    cosines = [
        (float(np.dot(vector, query) / (np.linalg.norm(vector) * np.linalg.norm(query))), row)
        for row, vector in enumerate(vectors)
    ]
    return {row for _, row in sorted(cosines, reverse=True)[:10]}


def _one_product(vectors: Vectors, query: Vectors) -> set[int]:
    scores = vectors @ query
    best: set[int] = set(np.argpartition(scores, -10)[-10:].tolist())
    return best


def _millis(way: Callable[[Vectors], set[int]], queries: Vectors) -> float:
    """The best of three rounds."""
    times = []
    for _ in range(3):
        begun = perf_counter()
        for query in queries:
            way(query)
        times.append((perf_counter() - begun) / len(queries))
    return min(times) * 1e3


def _recall(way: Callable[[Vectors], set[int]], queries: Vectors, truth: list[set[int]]) -> float:
    found = [len(way(query) & exact) / 10 for query, exact in zip(queries, truth, strict=True)]
    return float(np.mean(found))


if __name__ == "__main__":
    main()
