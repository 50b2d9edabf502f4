"""The first acts: a catalogue of photos, and a model that has learnt it."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from embedder_service import checkpoint
from embedder_service.model import EmbeddingModel
from embedder_service.training.card import golden_photos, model_card
from embedder_service.training.data import Catalogue
from embedder_service.training.evaluate import Row, evaluate, untrained_model
from embedder_service.training.finetune import (
    Epoch,
    FinetuneSettings,
    estimate_minutes,
    finetune,
)
from embedder_service.training.progress import Ticker, epoch_line, epoch_titles
from embedder_service.training.read import read_catalogue
from embedder_service.training.sample import SampleSettings, draw
from lookalike_cli.demo.story import Story


@dataclass(frozen=True)
class Learned:
    """A model folder in the store, what it scored, and the space of its untrained twin."""

    model: Path
    space_id: str
    rows: tuple[Row, ...]
    untrained_space_id: str
    epochs: tuple[Epoch, ...]


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
        catalogue = read_catalogue(folder)
        for damaged in catalogue.damaged[:5]:
            story.note(f"left out: {damaged.path.name}: {damaged.reason}")
        act.result = (
            f"{len(catalogue.photos):,} photos of {len(catalogue.items):,} items "
            f"in {len(catalogue.categories)} categories"
        )
        if catalogue.damaged:
            act.result += f", {len(catalogue.damaged)} damaged"
    return catalogue


def learn(story: Story, catalogue: Catalogue, settings: FinetuneSettings) -> Learned:
    """Fine-tunes, judges, and puts the model into the store."""
    with story.act(f"fine-tunes {settings.backbone}") as act:
        if settings.backbone in ("resnet152", "vgg16", "vgg19"):
            minutes = estimate_minutes(catalogue, settings)
            story.note(f"{settings.backbone} takes about {minutes:.0f} minutes here")
        epochs: list[Epoch] = []
        story.note(epoch_titles())

        def on_epoch(epoch: Epoch) -> None:
            epochs.append(epoch)
            story.note(epoch_line(epoch))

        with Ticker("training", story.console) as ticker:
            model = finetune(catalogue, settings, on_epoch, ticker.on_step, story.note)
        rows = tuple(evaluate(catalogue, model, settings.seed))
        folder = _save(story.out / "models", catalogue, settings, model, rows)
        act.result = f"{settings.epochs} epochs at {settings.side} pixels, {_scores(rows)}"
    untrained = untrained_model(model.spec, catalogue.gallery, settings.seed)
    return Learned(
        model=folder,
        space_id=folder.name,
        rows=rows,
        untrained_space_id=untrained.space_id(),
        epochs=tuple(epochs),
    )


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
    recall = rows[-1].figures.item_recall_at_1
    if recall is None:
        return "no item has two photos to judge by"
    return f"finds the item first for {recall:.0%} of held-out photos"
