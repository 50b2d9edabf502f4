"""The first acts: a catalogue of photos, and a model that has learnt it."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from lookalike_client import Embedding

from embedder_service import checkpoint
from embedder_service.judging.embedding import embed_photos
from embedder_service.judging.evaluate import Row, evaluate
from embedder_service.model import EmbeddingModel, build
from embedder_service.training.card import golden_photos, model_card
from embedder_service.training.data import Catalogue, CatalogueError, Damaged, Photo
from embedder_service.training.finetune import FinetuneSettings, estimate_minutes, finetune
from embedder_service.training.progress import Ticker, epoch_lines
from embedder_service.training.read import read_catalogue
from embedder_service.training.sample import SampleSettings, draw
from lookalike_cli.demo.story import Story
from search_service.build.source import MAX_ITEM_ID_BYTES, MAX_PHOTO_ID_BYTES

LEAST_PHOTOS = 12
NAMED = 8  # of the files that are left out
SLOW_BACKBONE = "resnet152"


@dataclass(frozen=True)
class Learned:
    """A model folder in the store, what it scored, and a vector that its untrained twin made."""

    model: Path
    space_id: str
    rows: tuple[Row, ...]
    foreign: Embedding


def gather(story: Story, images: Path | None, sample: SampleSettings) -> Catalogue:
    """One's own photographs, or the sample catalogue drawn anew."""
    title = "draws the sample catalogue" if images is None else f"reads {images}"
    with story.act(title) as act:
        folder = images
        if folder is None:
            folder = story.out / "photos"
            shutil.rmtree(folder, ignore_errors=True)
            with Ticker("drawing", story.console) as ticker:
                draw(folder, sample, ticker.on_step)
        catalogue = _expect_enough(without_long_ids(read_catalogue(folder, boxes=False)))
        for damaged in catalogue.damaged[:NAMED]:
            story.note(f"left out: {damaged.path.name}: {damaged.reason}")
        if len(catalogue.damaged) > NAMED:
            story.note(f"left out: {len(catalogue.damaged) - NAMED} more")
        act.result = (
            f"{len(catalogue.photos):,} photos of {len(catalogue.items):,} items "
            f"in {len(catalogue.categories)} categories"
        )
        if catalogue.damaged:
            act.result += f", {len(catalogue.damaged)} left out"
    return catalogue


def without_long_ids(catalogue: Catalogue) -> Catalogue:
    """Photos whose ids no index can hold are set apart now, not after the training."""
    reasons = [(photo, _id_reason(photo)) for photo in catalogue.photos]
    return replace(
        catalogue,
        photos=tuple(photo for photo, reason in reasons if not reason),
        damaged=(
            *catalogue.damaged,
            *(Damaged(photo.path, reason) for photo, reason in reasons if reason),
        ),
    )


def _id_reason(photo: Photo) -> str:
    for name, text, most in (
        ("item_id", photo.item_id, MAX_ITEM_ID_BYTES),
        ("photo_id", photo.photo_id, MAX_PHOTO_ID_BYTES),
    ):
        # What is not UTF-8 in a file's name comes as surrogates.
        size = len(text.encode("utf-8", "surrogatepass"))
        if size > most:
            return f"{name}: expected at most {most} bytes of folders and name, got {size}"
        if not text.isprintable():
            return f"{name}: expected folders and a name in UTF-8, got {text!r}"
    return ""


def _expect_enough(catalogue: Catalogue) -> Catalogue:
    """The acts need photos to search with, and more than one to be found."""
    if len(catalogue.photos) < LEAST_PHOTOS or not catalogue.queries:
        raise CatalogueError(
            f"images: expected at least {LEAST_PHOTOS} photos that decode below "
            f"{catalogue.folder}, some of them for the test, got {len(catalogue.photos)}"
            f" and {len(catalogue.queries)} to search with"
        )
    return catalogue


def learn(story: Story, catalogue: Catalogue, settings: FinetuneSettings) -> Learned:
    """Fine-tunes, judges, and puts the model into the store."""
    with story.act(f"fine-tunes {settings.backbone}") as act:
        if settings.backbone == SLOW_BACKBONE:
            story.say("timing a few steps of it ...")
        minutes = estimate_minutes(catalogue, settings, steps=1)
        story.note(f"the training takes about {max(1, round(minutes))} min here")
        with Ticker("training", story.console) as ticker:
            model = finetune(
                catalogue,
                settings,
                lambda epoch: story.note(epoch_lines(epoch)),
                ticker.on_step,
                story.note,
            )
        story.say(f"searches with {len(catalogue.queries):,} held-out photos ...")
        rows = tuple(evaluate(catalogue, model, settings.seed))
        folder = _save(story.out / "models", catalogue, settings, model, rows)
        act.result = f"{settings.epochs} epochs at {settings.side} pixels, {_scores(rows)}"
    untrained = build(model.spec, "none", settings.seed)
    (vector,) = embed_photos(untrained, catalogue.queries[:1])
    foreign = Embedding(values=vector.astype("<f4").tobytes(), space_id=untrained.space_id())
    return Learned(folder, folder.name, rows, foreign)


def _save(
    models: Path,
    catalogue: Catalogue,
    settings: FinetuneSettings,
    model: EmbeddingModel,
    rows: tuple[Row, ...],
) -> Path:
    return checkpoint.save(
        model,
        models,
        golden_photos(catalogue),
        model_card(catalogue, settings, rows),
        rows[-1].figures.as_dict(),
    )


def _scores(rows: tuple[Row, ...]) -> str:
    figures = rows[-1].figures
    if figures.item_recall_at_1 is not None:
        return f"finds the item first for {figures.item_recall_at_1:.0%} of held-out photos"
    if figures.category_recall_at_1 is not None:
        return f"finds the category first for {figures.category_recall_at_1:.0%} of held-out photos"
    return "no two photos are known to show one item or one category: nothing to judge by"
