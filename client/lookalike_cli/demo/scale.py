"""The first article's size: built, served, measured, and swapped while queries run."""

import csv
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from lookalike_client import Embedding

from embedder_service.training.data import Catalogue
from lookalike_cli import processes
from lookalike_cli.demo.calls import CountingClient, Tally
from lookalike_cli.demo.methods import (
    NEIGHBOURS,
    Method,
    Vectors,
    article_annoy,
    measured,
    one_by_one,
    scan,
)
from lookalike_cli.demo.spread import PHOTOS_PER_ITEM, Spread
from lookalike_cli.demo.story import Story
from lookalike_cli.processes import Running
from search_service.build import BuildOptions, Source, build, publish
from search_service.engines.exact import nearest_rows
from search_service.store import Store

INDEX = "article-size"
QUERIES = 300
ONE_BY_ONE_QUERIES = 2  # each takes the better part of a second
CALLERS = 3
CALLS_DURING_SWAP = 2_000
CALLS_AFTER_SWAP = 400
PATIENCE_SECONDS = 120


@dataclass(frozen=True)
class Scale:
    """What was measured at the article's size."""

    rows: int
    methods: tuple[Method, ...]
    served_recall: float
    query_p50_ms: float
    query_p99_ms: float
    calls_during_swap: int
    generations: tuple[int, ...]
    build_seconds: float
    swap_seconds: float


@dataclass(frozen=True)
class _Stage:
    """Where the act plays: a folder, the search service over it, and a client."""

    folder: Path
    running: Running
    client: CountingClient
    space_id: str

    def build(self, vectors: Vectors, name: str, options: BuildOptions) -> Path:
        # As in the articles, each photo stands for itself.
        photos = pa.table({"photo_id": pa.array([_photo_id(row) for row in range(len(vectors))])})
        build(Source(vectors, photos, self.space_id), self.folder / name, options)
        return self.folder / name

    def publish(self, built: Path) -> int:
        number = publish(Store(self.folder), INDEX, built).manifest.number
        shutil.rmtree(built)
        return number

    def wait_for(self, number: int) -> None:
        until = time.monotonic() + PATIENCE_SECONDS
        while all(entry.generation != number for entry in self.client.indexes()):
            if time.monotonic() > until:
                raise TimeoutError(f"{INDEX}: expected generation {number} to be served")
            time.sleep(0.05)

    def embedding(self, vector: Vectors) -> Embedding:
        return Embedding(values=vector.astype("<f4").tobytes(), space_id=self.space_id)


def go_to_scale(
    story: Story, space_id: str, tally: Tally, catalogue: Catalogue, rows: int
) -> Scale:
    """The act: `rows` vectors drawn from the spread of the demo's own."""
    with story.act(f"goes to {rows:,} vectors") as act:
        spread = _spread(story.out / "vectors")
        classes = max(2, len(catalogue.categories))
        measured = _measure(story, spread, space_id, tally, classes, rows)
        act.result = (
            f"recall {measured.served_recall:.3f} at {measured.query_p50_ms:.1f} ms over gRPC; "
            f"{measured.calls_during_swap:,} calls during a swap"
        )
    return measured


def _spread(folder: Path) -> Spread:
    vectors = np.load(folder / "vectors.npy", allow_pickle=False)
    with (folder / "photos.csv").open(newline="", encoding="utf-8") as table:
        rows = list(csv.DictReader(table))
    return Spread.of(
        vectors, [row["item_id"] for row in rows], [row.get("category", "") for row in rows]
    )


def _measure(
    story: Story, spread: Spread, space_id: str, tally: Tally, classes: int, rows: int
) -> Scale:
    """Everything at `rows` vectors, in a folder of its own that is gone afterwards."""
    folder = story.out / "scale"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "indexes").mkdir(parents=True)
    try:
        # Queries: one photo each of items of which no other photo is in the index.
        begin = -(-rows // PHOTOS_PER_ITEM) * PHOTOS_PER_ITEM
        drawn = spread.draw(begin + QUERIES * PHOTOS_PER_ITEM, seed=1)
        vectors, queries = drawn[:rows], drawn[begin::PHOTOS_PER_ITEM]
        with (
            processes.search(folder, folder / "cache", poll_seconds=0.2) as running,
            CountingClient(tally, search=running.address) as client,
        ):
            stage = _Stage(folder, running, client, space_id)
            return _play(story, stage, vectors, queries, classes)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _play(story: Story, stage: _Stage, vectors: Vectors, queries: Vectors, classes: int) -> Scale:
    truth = [set(found.tolist()) for found in nearest_rows(vectors, queries, NEIGHBOURS)]
    methods = _others(vectors, queries, truth, classes)
    begun = time.monotonic()
    built = stage.build(vectors, "first", BuildOptions(engine="annoy"))
    stage.wait_for(stage.publish(built))
    build_seconds = time.monotonic() - begun
    story.note(f"{len(vectors):,} vectors from file to served in {build_seconds:.1f} s")
    found, times = _ask(stage, queries)
    recall = _recall(found, truth)
    ours = Method("Lookalike, over gRPC", float(np.median(times)) * 1000, recall, len(times))
    changed = vectors.copy()
    changed[::50] = np.roll(vectors[::50], PHOTOS_PER_ITEM, axis=0)
    next_built = stage.build(changed, "second", BuildOptions(engine="annoy", seed=2))
    during, generations, swap_seconds = _swap(stage, next_built, queries)
    return Scale(
        rows=len(vectors),
        methods=(*methods, ours),
        served_recall=recall,
        query_p50_ms=float(np.percentile(times, 50)) * 1000,
        query_p99_ms=float(np.percentile(times, 99)) * 1000,
        calls_during_swap=during,
        generations=generations,
        build_seconds=build_seconds,
        swap_seconds=swap_seconds,
    )


def _others(
    vectors: Vectors, queries: Vectors, truth: list[set[int]], classes: int
) -> tuple[Method, ...]:
    naive = measured(
        "cosine, one by one",
        lambda query: one_by_one(vectors, query),
        queries[:ONE_BY_ONE_QUERIES],
        truth,
    )
    product = measured("cosine, one product", lambda query: scan(vectors, query), queries, truth)
    begun = time.monotonic()
    annoy = article_annoy(vectors, classes)
    seconds = time.monotonic() - begun
    article = measured(f"the article's annoy, {classes} trees", annoy, queries, truth, seconds)
    return naive, product, article


def _ask(stage: _Stage, queries: Vectors) -> tuple[list[list[str]], list[float]]:
    """Each query three times, one at a time; the photos found, and the seconds each took."""
    found: list[list[str]] = []
    times: list[float] = []
    for turn in range(3):
        for query in queries:
            begun = time.perf_counter()
            answer = stage.client.search(INDEX, stage.embedding(query), k=NEIGHBOURS)
            times.append(time.perf_counter() - begun)
            if turn == 0:
                found.append([hit.item_id for hit in answer.hits])
    return found, times


def _recall(found: Sequence[Sequence[str]], truth: Sequence[set[int]]) -> float:
    hits = [
        len(set(ids) & {_photo_id(row) for row in rows}) / NEIGHBOURS
        for ids, rows in zip(found, truth, strict=True)
    ]
    return float(np.mean(hits))


def _photo_id(row: int) -> str:
    return f"p{row:06d}"


def _swap(stage: _Stage, built: Path, queries: Vectors) -> tuple[int, tuple[int, ...], float]:
    """Publishes while callers ask; the calls made meanwhile, who answered, and the seconds."""
    embeddings = [stage.embedding(query) for query in queries]
    seen: list[int] = []
    stop = threading.Event()

    def ask(first: int) -> None:
        number = first
        while not stop.is_set():
            number += CALLERS
            answer = stage.client.search(INDEX, embeddings[number % len(embeddings)])
            seen.append(answer.generation)

    callers = [threading.Thread(target=ask, args=(first,)) for first in range(CALLERS)]
    for caller in callers:
        caller.start()
    begun = time.monotonic()
    try:
        number = stage.publish(built)
        stage.wait_for(number)
        seconds = time.monotonic() - begun
        _until(lambda: seen.count(number) >= CALLS_AFTER_SWAP and len(seen) >= CALLS_DURING_SWAP)
    finally:
        stop.set()
        for caller in callers:
            caller.join()
    return len(seen), tuple(sorted(set(seen))), seconds


def _until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not holds() and time.monotonic() < until:
        time.sleep(0.05)
