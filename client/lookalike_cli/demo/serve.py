"""The middle acts: both services running, the catalogue embedded, published and searched."""

import csv
import shutil
import time
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from lookalike_client import Accuracy, Answer, Embedding, ImageFailed

from embedder_service.training.data import Catalogue, Photo
from lookalike_cli import processes
from lookalike_cli.catalogue import Photograph, embed_catalogue
from lookalike_cli.demo.calls import CountingClient
from lookalike_cli.demo.sheet import Row, Tile, draw_sheet
from lookalike_cli.demo.story import Story
from lookalike_cli.processes import Running
from search_service.build import BuildOptions, Source, build, publish, read_source
from search_service.store import Store

INDEX = "catalogue"
SHOWN_QUERIES = 9
SHOWN_NEIGHBOURS = 6
PATIENCE_SECONDS = 60
IMAGES_PER_CALL = 16


@dataclass(frozen=True)
class Found:
    """Held-out photos and what the services answered."""

    queries: tuple[Photo, ...]
    embeddings: tuple[Embedding, ...]
    answers: tuple[Answer, ...]
    precision_at_10: float | None
    recall_at_1_item: float | None
    recall_at_1_new_item: float | None  # of items that the training never saw
    recall_vs_exact: float


def start(story: Story, model: Path, stack: ExitStack) -> tuple[Running, Running]:
    """The embedder and the search service, each a process of its own, which the stack ends."""
    with story.act("starts both services") as act:
        _clear(story.out, model)
        log = story.out / "logs" / "embedder.log"
        embedder = stack.enter_context(processes.embedder(model, log=log, drain_seconds=0))
        search = stack.enter_context(start_search(story.out))
        act.result = f"embedder {embedder.address}, search {search.address}"
    return embedder, search


def _clear(out: Path, model: Path) -> None:
    """What an earlier demo left in the store, but for the model that has just been put there."""
    models = [folder for folder in (out / "models").iterdir() if folder != model]
    for folder in (out / "indexes", out / "blobs", out / "cache", *models):
        shutil.rmtree(folder, ignore_errors=True)
    (out / "indexes").mkdir()


def start_search(out: Path) -> Running:
    return processes.search(
        out, out / "cache", log=out / "logs" / "search.log", poll_seconds=0.2, drain_seconds=0
    )


def index(story: Story, client: CountingClient, catalogue: Catalogue) -> None:
    """The gallery through the embedder's API, into a generation that is served."""
    with story.act("embeds, builds and publishes") as act:
        vectors, built = story.out / "vectors", story.out / "built"
        for folder in (vectors, built):
            shutil.rmtree(folder, ignore_errors=True)
        photographs = [_photograph(photo) for photo in catalogue.gallery]
        embedded = embed_catalogue(client, photographs, vectors, images_per_call=IMAGES_PER_CALL)
        story.note(
            f"{embedded.photos:,} vectors in {embedded.seconds:.1f} s, "
            f"{embedded.photos / embedded.seconds:.0f} images/s"
        )
        draft = build(read_vectors(vectors), built, BuildOptions(engine="annoy"))
        published = publish(Store(story.out), INDEX, built)
        shutil.rmtree(built)
        number = published.manifest.number
        wait_until_served(client, INDEX, number)
        act.result = (
            f"generation {number}: {draft.base.photos:,} photos of {draft.base.items:,} items"
        )


def read_vectors(folder: Path) -> Source:
    """The embedded gallery. Its attributes are texts, though a category be called 2026."""
    with (folder / "photos.csv").open(newline="", encoding="utf-8") as table:
        columns = next(csv.reader(table))
    return read_source(
        folder, {name: "string" for name in columns if name not in ("photo_id", "item_id")}
    )


def wait_until_served(client: CountingClient, name: str, number: int) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while all((each.index, each.generation) != (name, number) for each in client.indexes()):
        if time.monotonic() > until:
            raise TimeoutError(f"{name}: expected generation {number} to be served")
        time.sleep(0.05)


def search_held_out(story: Story, client: CountingClient, catalogue: Catalogue) -> Found:
    """Every held-out photo through Embed and Search; the contact sheet."""
    with story.act("searches with held-out photos") as act:
        embeddings = [_embedded(client, photo) for photo in catalogue.queries]
        answers = [client.search(INDEX, each, k=10, include_attributes=True) for each in embeddings]
        exact = [client.search(INDEX, each, k=10, accuracy=Accuracy.EXACT) for each in embeddings]
        found = Found(
            queries=catalogue.queries,
            embeddings=tuple(embeddings),
            answers=tuple(answers),
            precision_at_10=_category_precision(catalogue, answers),
            recall_at_1_item=_item_recall(catalogue, answers, catalogue.items),
            recall_at_1_new_item=_item_recall(catalogue, answers, catalogue.new_items),
            recall_vs_exact=_agreement(answers, exact),
        )
        sheet = story.out / "neighbours.png"
        draw_sheet(
            sheet,
            "What looks like this?",
            "Left: photos the index has never seen. Right: the nearest items"
            + (", framed where it is the same." if catalogue.has_pairs else "."),
            _rows(catalogue, found),
        )
        act.result = f"{len(answers)} queries; contact sheet {sheet}"
    return found


def _photograph(photo: Photo) -> Photograph:
    columns = {"category": photo.category, **photo.attributes}
    return Photograph(photo.photo_id, photo.path, photo.item_id, columns)


def _embedded(client: CountingClient, photo: Photo) -> Embedding:
    (result,) = client.embed([photo.path.read_bytes()])
    if isinstance(result, ImageFailed):
        raise result
    return result


def _item_recall(
    catalogue: Catalogue, answers: Sequence[Answer], items: Collection[str]
) -> float | None:
    """How often the nearest item is the query's own, for queries of these items."""
    right = [
        answer.hits[0].item_id == photo.item_id
        for photo, answer in zip(catalogue.queries, answers, strict=True)
        if photo.item_id in items
    ]
    return float(np.mean(right)) if right and catalogue.has_pairs else None


def _category_precision(catalogue: Catalogue, answers: Sequence[Answer]) -> float | None:
    """Of the ten nearest items, those of the query's category, for queries that have one."""
    shares = [
        np.mean([hit.attributes.get("category") == photo.category for hit in answer.hits])
        for photo, answer in zip(catalogue.queries, answers, strict=True)
        if photo.category
    ]
    return float(np.mean(shares)) if shares else None


def _agreement(answers: Sequence[Answer], exact: Sequence[Answer]) -> float:
    return float(
        np.mean(
            [
                len({h.item_id for h in one.hits} & {h.item_id for h in true.hits}) / len(true.hits)
                for one, true in zip(answers, exact, strict=True)
            ]
        )
    )


def _rows(catalogue: Catalogue, found: Found) -> list[Row]:
    paths = {photo.photo_id: photo.path for photo in catalogue.gallery}
    return [
        Row(
            Tile(photo.path, photo.item_id, (photo.category, "held-out photo")),
            tuple(
                Tile(
                    paths[hit.photo_id],
                    hit.item_id,
                    (
                        str(hit.attributes.get("category", "")),
                        f"similarity {hit.similarity:.3f}",
                        f"distance {hit.distance:.3f}",
                    ),
                    same_item=hit.item_id == photo.item_id,
                )
                for hit in answer.hits[:SHOWN_NEIGHBOURS]
            ),
        )
        for photo, answer in _one_a_category(found)
    ]


def _one_a_category(found: Found) -> list[tuple[Photo, Answer]]:
    """Queries spread over the categories, in the catalogue's order."""
    by_category: dict[str, tuple[Photo, Answer]] = {}
    for photo, answer in zip(found.queries, found.answers, strict=True):
        by_category.setdefault(photo.category or photo.photo_id, (photo, answer))
    chosen = list(by_category.values())
    step = max(1, len(chosen) // SHOWN_QUERIES)
    return chosen[::step][:SHOWN_QUERIES]
