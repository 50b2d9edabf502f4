"""`python -m embedder_service.training`: draw the sample catalogue, fine-tune on a catalogue."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from embedder_service.training.command import command as finetune
from embedder_service.training.progress import Ticker
from embedder_service.training.sample import SampleSettings, draw

_SAMPLE = SampleSettings()


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


main.add_command(finetune)


def _settings(**options: int) -> SampleSettings:
    try:
        return SampleSettings(**options)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


if __name__ == "__main__":
    main()
