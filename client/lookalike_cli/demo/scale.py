"""The first article's size: built, served, measured, and swapped while queries run."""

import csv
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from embedder_service.judging.methods import (
    NEIGHBOURS,
    Method,
    Vectors,
    article_annoy,
    measured,
    one_by_one,
    scan,
)
from embedder_service.training.data import Catalogue
from lookalike_cli import processes
from lookalike_cli.demo.calls import CountingClient, Tally
from lookalike_cli.demo.spread import PHOTOS_PER_ITEM, Spread
from lookalike_cli.demo.stage import Stage, photo_id
from lookalike_cli.demo.story import Story
from lookalike_cli.demo.swap import Swaps, swap
from search_service.build import BuildOptions
from search_service.engines.exact import nearest_rows

QUERIES = 300
ONE_BY_ONE_QUERIES = 2  # each takes the better part of a second


@dataclass(frozen=True)
class Scale:
    """What was measured at the article's size."""

    rows: int
    methods: tuple[Method, ...]
    served_recall: float
    query_p50_ms: float
    query_p99_ms: float
    swaps: Swaps
    build_seconds: float


def go_to_scale(
    story: Story, space_id: str, tally: Tally, catalogue: Catalogue, rows: int
) -> Scale:
    """The act: `rows` vectors drawn from the spread of the demo's own."""
    with story.act(f"goes to {rows:,} vectors") as act:
        spread = _spread(story.out / "vectors")
        classes = max(2, len(catalogue.categories))
        measured = _measure(story, spread, space_id, tally, classes, rows)
        times = "once" if measured.swaps.count == 1 else f"{measured.swaps.count} times"
        act.result = (
            f"recall {measured.served_recall:.3f} at {measured.query_p50_ms:.1f} ms over gRPC; "
            f"swapped {times} under {measured.swaps.calls:,} calls"
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
    folder, log = story.out / "scale", story.out / "logs" / "scale.log"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "indexes").mkdir(parents=True)
    try:
        # Queries: one photo each of items of which no other photo is in the index.
        begin = -(-rows // PHOTOS_PER_ITEM) * PHOTOS_PER_ITEM
        drawn = spread.draw(begin + QUERIES * PHOTOS_PER_ITEM, seed=1)
        vectors, queries = drawn[:rows], drawn[begin::PHOTOS_PER_ITEM]
        with (
            processes.search(folder, folder / "cache", log=log, poll_seconds=0.2) as running,
            CountingClient(tally, search=running.address) as client,
        ):
            return _play(story, Stage(folder, client, space_id), vectors, queries, classes)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _play(story: Story, stage: Stage, vectors: Vectors, queries: Vectors, classes: int) -> Scale:
    truth = [set(found.tolist()) for found in nearest_rows(vectors, queries, NEIGHBOURS)]
    methods = _others(vectors, queries, truth, classes)
    begun = time.monotonic()
    stage.publish(stage.build(vectors, "first", BuildOptions(engine="annoy")))
    build_seconds = time.monotonic() - begun
    story.note(f"{len(vectors):,} vectors from file to served in {build_seconds:.1f} s")
    found, times = _ask(stage, queries)
    recall = _recall(found, truth)
    ours = Method("Lookalike, over gRPC", float(np.median(times)) * 1000, recall, len(times))
    changed = vectors.copy()
    changed[::50] = np.roll(vectors[::50], PHOTOS_PER_ITEM, axis=0)
    built = stage.build(changed, "second", BuildOptions(engine="annoy", seed=2))
    return Scale(
        rows=len(vectors),
        methods=(*methods, ours),
        served_recall=recall,
        query_p50_ms=float(np.percentile(times, 50)) * 1000,
        query_p99_ms=float(np.percentile(times, 99)) * 1000,
        swaps=swap(stage, built, queries),
        build_seconds=build_seconds,
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


def _ask(stage: Stage, queries: Vectors) -> tuple[list[list[str]], list[float]]:
    """Each query three times, one at a time; the photos found, and the seconds each took."""
    found: list[list[str]] = []
    times: list[float] = []
    for turn in range(3):
        for query in queries:
            begun = time.perf_counter()
            answer = stage.search(query)
            times.append(time.perf_counter() - begun)
            if turn == 0:
                found.append([hit.item_id for hit in answer.hits])
    return found, times


def _recall(found: Sequence[Sequence[str]], truth: Sequence[set[int]]) -> float:
    hits = [
        len(set(ids) & {photo_id(row) for row in rows}) / NEIGHBOURS
        for ids, rows in zip(found, truth, strict=True)
    ]
    return float(np.mean(hits))
