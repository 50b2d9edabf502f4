"""`python -m embedder_service.training`: draw the sample catalogue, fine-tune on a catalogue."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from rich.console import Console

from embedder_service import checkpoint
from embedder_service.model import EmbeddingModel
from embedder_service.spec import BACKBONES, ModelError
from embedder_service.training.card import figure_lines, golden_photos, model_card
from embedder_service.training.data import Catalogue, CatalogueError
from embedder_service.training.evaluate import evaluate
from embedder_service.training.finetune import FinetuneSettings, estimate_minutes, finetune
from embedder_service.training.progress import Ticker, epoch_lines
from embedder_service.training.read import read_catalogue
from embedder_service.training.recipes import RECIPES
from embedder_service.training.sample import SampleSettings, draw

_SAMPLE = SampleSettings()
_FINETUNE = FinetuneSettings()


@click.group()
def main() -> None:
    """Learning an embedding: photographs in, a model folder out."""


@main.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--items", default=_SAMPLE.items, show_default=True, help="Garments to draw.")
@click.option(
    "--photos-per-item", default=_SAMPLE.photos_per_item, show_default=True, help="Photos of each."
)
@click.option("--side", default=_SAMPLE.side, show_default=True, help="A photo's side in pixels.")
@click.option(
    "--seed", default=_SAMPLE.seed, show_default=True, help="The same seed, the same bytes."
)
def sample(folder: Path, items: int, photos_per_item: int, side: int, seed: int) -> None:
    """Draws the sample catalogue into FOLDER, in DeepFashion's file format."""
    settings = _settings(items=items, photos_per_item=photos_per_item, side=side, seed=seed)
    console = Console()
    with Ticker("drawing", console) as ticker:
        draw(folder, settings, ticker.on_step)
    console.print(f"{items * photos_per_item:,} photos of {items:,} items in {folder}")


@main.command(name="finetune")
@click.argument("catalogue", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--models",
    default=Path("models"),
    show_default=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Where models/<space_id> is written.",
)
@click.option(
    "--recipe", default=_FINETUNE.recipe, show_default=True, type=click.Choice(list(RECIPES))
)
@click.option("--backbone", default="resnet152", show_default=True, type=click.Choice(BACKBONES))
@click.option(
    "--weights",
    default="auto",
    show_default=True,
    help="The body's at the start: imagenet, none, a file, or auto (ImageNet's where possible).",
)
@click.option("--side", default=224, show_default=True, help="Side in pixels that the model sees.")
@click.option("--epochs", default=_FINETUNE.epochs, show_default=True)
@click.option("--batch", default=_FINETUNE.batch, show_default=True, help="Photos a step.")
@click.option(
    "--device", default="auto", show_default=True, type=click.Choice(["auto", "cpu", "cuda"])
)
@click.option("--seed", default=0, show_default=True)
def finetune_command(catalogue: Path, models: Path, **options: object) -> None:
    """Fine-tunes on CATALOGUE: DeepFashion's lists, or any folder of images."""
    console = Console()
    try:
        _finetune(console, catalogue, models, FinetuneSettings(**options))  # type: ignore[arg-type]
    except (CatalogueError, ModelError, ValueError) as error:
        click.echo(str(error), err=True)
        sys.exit(2)


def _finetune(console: Console, folder: Path, models: Path, settings: FinetuneSettings) -> None:
    catalogue = read_catalogue(folder)
    for damaged in catalogue.damaged:
        _say(console, f"left out: {damaged.path}: {damaged.reason}")
    minutes = estimate_minutes(catalogue, settings)
    console.print(f"{settings.backbone} at side {settings.side}: about {minutes:.0f} minutes here")
    model = _trained(console, catalogue, settings)
    rows = evaluate(catalogue, model, settings.seed)
    console.print(*figure_lines(rows), sep="\n", highlight=False)
    card = model_card(catalogue, settings, rows)
    scores = rows[-1].figures.as_dict()
    written = checkpoint.save(model, models, golden_photos(catalogue), card, scores)
    _say(console, f"model: {written}")


def _trained(console: Console, catalogue: Catalogue, settings: FinetuneSettings) -> EmbeddingModel:
    with Ticker("training", console) as ticker:
        return finetune(
            catalogue,
            settings,
            lambda epoch: _say(console, epoch_lines(epoch)),
            ticker.on_step,
            lambda line: _say(console, line),
        )


def _say(console: Console, text: str) -> None:
    """As it is: a path may hold what rich would take for markup."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def _settings(**options: int) -> SampleSettings:
    try:
        return SampleSettings(**options)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


if __name__ == "__main__":
    main()
