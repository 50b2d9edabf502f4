"""The first acts: a catalogue of photos, and a model that has learnt it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from embedder_service.training.card import golden_photos, model_card
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from embedder_service import checkpoint
from embedder_service.model import EmbeddingModel
from embedder_service.training.data import Catalogue
from embedder_service.training.evaluate import Row, evaluate, untrained_model
from embedder_service.training.finetune import (
    Epoch,
    FinetuneSettings,
    estimate_minutes,
    finetune,
)
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
            with _bar(story, "drawing") as bar:
                draw(folder, sample, bar)
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
        with _bar(story, "training") as bar:
            model = finetune(catalogue, settings, epochs.append, bar, story.note)
        story.note(_epoch_line(epochs[-1]))
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


def _epoch_line(epoch: Epoch) -> str:
    parts = [f"after epoch {epoch.number}: train loss {epoch.train_loss:.2f}"]
    if epoch.valid_loss is not None:
        parts.append(f"valid loss {epoch.valid_loss:.2f}")
    if epoch.top_1 is not None and epoch.top_3 is not None:
        parts.append(f"category top-1 {epoch.top_1:.0%}, top-3 {epoch.top_3:.0%}")
    return ", ".join(parts)


def _scores(rows: tuple[Row, ...]) -> str:
    recall = rows[-1].figures.item_recall_at_1
    if recall is None:
        return "no item has two photos to judge by"
    return f"finds the item first for {recall:.0%} of held-out photos"


@contextmanager
def _bar(story: Story, what: str) -> Iterator["_Advance"]:
    """A progress bar on a terminal; nothing elsewhere, where it would fill a log."""
    columns = (
        TextColumn("   {task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:.0f} %"),
    )
    times = (TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
    with Progress(
        *columns,
        *times,
        console=story.console,
        transient=True,
        disable=not story.console.is_terminal,
    ) as progress:
        task = progress.add_task(what, total=None)
        yield _Advance(progress, task)


@dataclass(frozen=True)
class _Advance:
    progress: Progress
    task: object

    def __call__(self, done: int, total: int) -> None:
        self.progress.update(self.task, completed=done, total=total)  # type: ignore[arg-type]
