"""What a filter costs: queries a second and recall by the share of items that it leaves.

python -m benchmarks.filters [--rows N] [--queries N]

Through generation.nearest, one thread, a query at a time, all shares in turn.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

import numpy as np
from lookalike.search.v1 import search_pb2 as pb

from benchmarks import datasets
from benchmarks.catalogues import ids, options, published
from benchmarks.record import record, table
from search_service.build import BuildOptions
from search_service.engines import Vectors
from search_service.generation import Generation
from search_service.manifest import EngineName
from search_service.query import Options

SHARES = (1.0, 0.5, 0.1, 0.01, 0.001)
ENGINES: tuple[EngineName, ...] = ("annoy", "graph")
ROUNDS = 3


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=datasets.ROWS)
    parser.add_argument("--queries", type=int, default=200)
    given = parser.parse_args(arguments)
    dataset = datasets.easy(given.rows, given.queries)
    figures: dict[str, object] = {"rows": given.rows}
    for engine in ENGINES:
        with tempfile.TemporaryDirectory() as folder:
            built = BuildOptions(engine=engine)
            generation = published(dataset.vectors, Path(folder), built)
            figures[engine] = _measured(generation, dataset.queries, engine)
    full = (given.rows, given.queries) == (datasets.ROWS, 200)
    record("filters", figures, is_full_size=full)


def _measured(generation: Generation, queries: Vectors, engine: str) -> list[dict[str, float]]:
    asked = {share: options(0.99, filters=_filter(share)) for share in SHARES}
    speeds = dict.fromkeys(SHARES, 0.0)
    for _ in range(ROUNDS):
        for share in SHARES:
            speeds[share] = max(speeds[share], _speed(generation, queries, asked[share]))
    recalls = {share: _recall(generation, queries, asked[share]) for share in SHARES}
    table(
        f"{engine}: {len(generation.segments.vectors):,} x {generation.manifest.dimension}",
        ("items left", "q/s", "recall@10"),
        [(f"{share:.1%}", speeds[share], recalls[share]) for share in SHARES],
    )
    return [
        {"share": share, "qps": round(speeds[share]), "recall": round(recalls[share], 4)}
        for share in SHARES
    ]


def _filter(share: float) -> tuple[pb.Filter, ...]:
    if share == 1.0:
        return ()
    below = pb.Value(int64_value=round(10_000 * share))
    return (pb.Filter(range=pb.Range(attribute="draw", less_than=below)),)


def _speed(generation: Generation, queries: Vectors, asked: Options) -> float:
    begun = perf_counter()
    for query in queries:
        ids(generation, query, asked)
    return len(queries) / (perf_counter() - begun)


def _recall(generation: Generation, queries: Vectors, asked: Options) -> float:
    exactly = options(1.0, filters=asked.filters)
    found = [
        len(ids(generation, query, asked) & exact) / len(exact)
        for query in queries
        if (exact := ids(generation, query, exactly))
    ]
    return float(np.mean(found)) if found else 1.0  # so few items that none is left


if __name__ == "__main__":
    main()
