"""What a change costs: until it is served, and of every query afterwards.

python -m benchmarks.delta_cost [--rows N] [--engines annoy,graph] [--poll-seconds S]

5,000 of 249,222 items changed and 500 removed, as two commands would; then queries a second with a
delta and dead rows of 5 % over those without, one thread, the two asked in turn.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import grpc
import numpy as np
from lookalike.search.v1 import admin_pb2 as pb
from lookalike.search.v1 import admin_pb2_grpc as rpc
from lookalike_cli import processes

from benchmarks import datasets
from benchmarks.catalogues import INDEX, ids, options, published, source
from benchmarks.record import record, table
from search_service.build import BuildOptions, Source, add, remove
from search_service.build.change import Changed
from search_service.engines import Vectors
from search_service.generation import Generation
from search_service.manifest import EngineName
from search_service.store import Store

ENGINES: tuple[EngineName, ...] = ("annoy", "graph")
CHANGED, REMOVED = 5_000 / datasets.ROWS, 500 / datasets.ROWS
SHARE = 0.05
ROUNDS = 5
POLL_SECONDS = 1.0  # how often the replica looks at CURRENT: the default
_QUERIES = 300


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=datasets.ROWS)
    parser.add_argument("--engines", default=",".join(ENGINES))
    parser.add_argument("--poll-seconds", type=float, default=POLL_SECONDS)
    given = parser.parse_args(arguments)
    rows = given.rows
    # What changes takes the vectors of others of the same distribution.
    changed = round(SHARE * rows)
    whole = datasets.easy(rows + changed, _QUERIES)
    vectors, others = whole.vectors[:rows], whole.vectors[rows:]
    figures: dict[str, object] = {"rows": rows}
    for engine in given.engines.split(","):
        with tempfile.TemporaryDirectory() as name:
            figures[engine] = _measured(
                vectors, others, whole.queries, engine, given.poll_seconds, Path(name)
            )
    full = (rows, given.engines, given.poll_seconds) == (
        datasets.ROWS,
        ",".join(ENGINES),
        POLL_SECONDS,
    )
    record("delta_cost", figures, is_full_size=full)


def _measured(
    vectors: Vectors,
    others: Vectors,
    queries: Vectors,
    engine: EngineName,
    poll_seconds: float,
    folder: Path,
) -> dict[str, float]:
    before = published(vectors, folder, BuildOptions(engine=engine))
    store = Store(folder)
    drawn = np.random.default_rng(3).permutation(len(vectors))
    first = drawn[: round(CHANGED * len(vectors))]
    gone = drawn[len(first) : len(first) + round(REMOVED * len(vectors))]
    with processes.search(folder, folder / "cache", poll_seconds=poll_seconds) as search:
        _until(search.admin_address, before.manifest.number)
        add_seconds, added = _timed(lambda: add(store, INDEX, _some(vectors, others, first)))
        add_served = _until(search.admin_address, _number(added))
        remove_seconds, removed = _timed(
            lambda: remove(store, INDEX, [f"item-{row:07d}" for row in gone])[0]
        )
        remove_served = _until(search.admin_address, _number(removed))
    rest = drawn[len(first) + len(gone) : len(others)]
    last = add(store, INDEX, _some(vectors, others[len(first) :], rest)).published
    assert last is not None
    after = Generation.open(last.manifest, last.sha256, folder / "blobs")
    plain, changed = _speeds([before, after], queries)
    table(
        f"{engine}: {len(vectors):,} items; the delta holds {after.manifest.changed_share:.1%}",
        ("", "command s", "until served s"),
        [
            (f"{len(first):,} items changed", add_seconds, add_served),
            (f"{len(gone):,} items removed", remove_seconds, remove_served),
        ],
    )
    table(
        "queries a second, and recall@10",
        ("", "q/s", "recall"),
        [
            ("as built", plain, _recall(before, queries)),
            ("with delta and dead rows", changed, _recall(after, queries)),
        ],
    )
    return {
        "add_seconds": round(add_seconds, 2),
        "add_served_seconds": round(add_served, 2),
        "remove_seconds": round(remove_seconds, 2),
        "remove_served_seconds": round(remove_served, 2),
        "delta_cost": round(changed / plain, 3),
    }


def _some(vectors: Vectors, others: Vectors, rows: np.ndarray) -> Source:
    """These items, with other vectors."""
    ordered = np.sort(rows)
    made = source(vectors)
    return Source(others[: len(ordered)], made.photos.take(ordered), made.space_id)


def _timed(change: Callable[[], Changed]) -> tuple[float, Changed]:
    begun = time.monotonic()
    done = change()
    return time.monotonic() - begun, done


def _number(changed: Changed) -> int:
    assert changed.published is not None
    return changed.published.manifest.number


def _until(admin_address: str, number: int) -> float:
    """Seconds until the replica serves the generation, by its own polls."""
    begun = time.monotonic()
    with grpc.insecure_channel(admin_address) as channel:
        stub = rpc.IndexAdminServiceStub(channel)
        while True:
            status = stub.GetStatus(pb.GetStatusRequest(), timeout=60)
            if number in {each.generation for each in status.loaded}:
                return time.monotonic() - begun
            time.sleep(0.02)


def _speeds(generations: list[Generation], queries: Vectors) -> list[float]:
    """The best of several rounds in turn."""
    best = [0.0] * len(generations)
    asked = options(0.99)
    for _ in range(ROUNDS):
        for i, generation in enumerate(generations):
            begun = time.perf_counter()
            for query in queries:
                ids(generation, query, asked)
            best[i] = max(best[i], len(queries) / (time.perf_counter() - begun))
    return best


def _recall(generation: Generation, queries: Vectors) -> float:
    found = [
        len(ids(generation, query, options(0.99)) & ids(generation, query, options(1.0))) / 10
        for query in queries[:100]
    ]
    return float(np.mean(found))


if __name__ == "__main__":
    main()
