"""`lookalike model compile`: a model made ready for this kind of machine, and judged on photos."""

import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
from rich.console import Console

from embedder_service import images
from embedder_service.images import Pixels
from embedder_service.spec import ModelError, Preprocessing
from embedder_service.training.sample import SampleSettings, draw
from lookalike_cli.photographs import find_photographs
from lookalike_cli.printing import json_option, print_json, print_table
from lookalike_kit.errors import ServiceError

if TYPE_CHECKING:  # `lookalike model list` need not wait for torch
    from embedder_service.devices.ahead import Compiled

FEWEST_PHOTOS = 11  # one, and the ten nearest others
PHOTOS_PER_ITEM = 4


@click.command("compile")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--photos",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Photographs to judge by; without, the sample catalogue's are drawn.",
)
@click.option(
    "--count",
    default=256,
    show_default=True,
    type=click.IntRange(FEWEST_PHOTOS, 5000),
    help="How many of them.",
)
@click.option(
    "--max-batch", default=32, show_default=True, type=click.IntRange(1, 1024), help="As served."
)
@json_option
def command(folder: Path, photos: Path | None, count: int, max_batch: int, as_json: bool) -> None:
    """Compile the model in FOLDER (models/<space_id>) for this kind of CPU, by OpenVINO.

    \b
    lookalike model compile models/72d2...
    lookalike model compile models/72d2... --photos catalogue/

    An embedder on such a CPU then starts without converting the model. What is made is kept in
    FOLDER/compiled, with figures: bfloat16 is served where its error is at most 5 % of the distance
    to the nearest other photo and the ten nearest stay the same at 0.99. Judge by your own photos.

    On a GPU there is nothing to compile ahead: graphs are captured at the start.
    """
    from embedder_service import checkpoint
    from embedder_service.devices.ahead import compile_ahead
    from embedder_service.devices.device import Unavailable

    console = Console(stderr=True)
    try:
        model = checkpoint.load(folder)
        with console.status("reading photos"):
            pixels = _pixels(photos, count, model.spec.preprocessing)
        with console.status(f"compiling, and comparing {len(pixels)} photos"):
            compiled = compile_ahead(model, folder, pixels, max_batch)
    except (ModelError, Unavailable) as error:
        raise click.ClickException(str(error)) from error
    _print(compiled, as_json)


def _pixels(photos: Path | None, count: int, preprocessing: Preprocessing) -> Pixels:
    if photos is not None:
        return _read([each.path for each in find_photographs([photos])], count, preprocessing)
    with tempfile.TemporaryDirectory() as drawn:
        items = -(-count // PHOTOS_PER_ITEM)
        side = max(64, preprocessing.resize)
        draw(Path(drawn), SampleSettings(items=items, photos_per_item=PHOTOS_PER_ITEM, side=side))
        return _read(sorted(Path(drawn).rglob("*.jpg")), count, preprocessing)


def _read(paths: Sequence[Path], count: int, preprocessing: Preprocessing) -> Pixels:
    """Evenly chosen from all of them; what does not decode is left out."""
    step = max(1, len(paths) // count)
    read = []
    for path in paths[::step][:count]:
        try:
            read.extend(images.read(path.read_bytes(), preprocessing))
        except ServiceError as error:
            click.echo(f"left out: {path}: {error.message}", err=True)
    if len(read) < FEWEST_PHOTOS:
        raise click.ClickException(f"photos: expected {FEWEST_PHOTOS} or more, got {len(read)}")
    return np.stack(read)


def _print(compiled: "Compiled", as_json: bool) -> None:
    if as_json:
        rows = {
            precision: {**asdict(figures), "accepted": figures.is_accepted}
            for precision, figures in compiled.figures.items()
        }
        print_json({"artefact": str(compiled.folder), "precisions": rows})
        return
    print_table(
        "",
        ("precision", "cosine ", "error ", "mean error ", "top 10 ", "composition ", ""),
        [
            (
                precision,
                f"{each.cosine:.6f}",
                f"{each.error:.2%}",
                f"{each.mean_error:.2%}",
                f"{each.agreement:.4f}",
                f"{each.composition:.1e}",
                "accepted" if each.is_accepted else "refused",
            )
            for precision, each in compiled.figures.items()
        ],
    )
    click.echo(f"compiled: {compiled.folder}")
