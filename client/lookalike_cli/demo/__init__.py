"""`lookalike demo`: the whole story on real input, act by act."""

import json
from pathlib import Path

import click

from embedder_service.spec import BACKBONES, ModelError
from embedder_service.training.data import CatalogueError
from embedder_service.training.sample import SampleSettings
from lookalike_cli.demo.folder import claimed
from lookalike_cli.demo.spread import ARTICLE_ROWS
from lookalike_cli.demo.story import Story
from lookalike_cli.processes import NotServing
from lookalike_cli.up import signals_raising_interrupt
from search_service.build import SourceError

EPOCHS = 14


@click.command()
@click.option(
    "--out",
    default=Path("build/demo"),
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Where everything goes: photos, model, index, pictures, logs.",
)
@click.option(
    "--images",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="One's own photographs instead of the drawn ones: category/photo.jpg, "
    "category/item/photo.jpg, or DeepFashion's folder.",
)
@click.option("--backbone", default="resnet18", show_default=True, type=click.Choice(BACKBONES))
@click.option(
    "--items",
    default=SampleSettings.items,
    show_default=True,
    type=click.IntRange(min=2),
    help="Items to draw.",
)
@click.option(
    "--epochs",
    default=EPOCHS,
    show_default=True,
    help="Passes over the photos in training.",
)
@click.option("--side", type=int, help="In pixels. Default: 112; 224 with resnet152.")
@click.option(
    "--rows",
    default=ARTICLE_ROWS,
    show_default=True,
    type=click.IntRange(min=1_000),
    help="Vectors in the act at the first article's size.",
)
def command(
    out: Path,
    images: Path | None,
    backbone: str,
    items: int,
    epochs: int,
    side: int | None,
    rows: int,
) -> None:
    """Draw a catalogue, learn it, serve it, search it, scale it, break it; ends with a report.

    \b
    lookalike demo
    lookalike demo --images ~/photos
    lookalike demo --backbone resnet152

    The last line is one JSON object with every figure. Afterwards `lookalike up build/demo` serves
    what was made.
    """
    # 10 s of torch, which --help does without.
    from embedder_service.training.settings import FinetuneSettings
    from lookalike_cli.demo.play import play

    story = Story(out)
    usual_side = 224 if backbone == "resnet152" else FinetuneSettings.side
    try:
        settings = FinetuneSettings(backbone=backbone, epochs=epochs, side=side or usual_side)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    try:
        with claimed(out), signals_raising_interrupt():
            play(story, images, SampleSettings(items=items), settings, rows)
    except (CatalogueError, ModelError, SourceError, NotServing, TimeoutError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(json.dumps(story.facts))
