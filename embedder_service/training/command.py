"""`lookalike finetune`, also `python -m embedder_service.training finetune` (for torchrun)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from embedder_service import checkpoint
from embedder_service.judging.evaluate import evaluate
from embedder_service.model import EmbeddingModel
from embedder_service.spec import BACKBONES, ModelError
from embedder_service.training.card import figure_lines, golden_photos, model_card
from embedder_service.training.catalogue_options import catalogue_options
from embedder_service.training.data import Catalogue, CatalogueError
from embedder_service.training.finetune import estimate_minutes, finetune
from embedder_service.training.precision import device_of
from embedder_service.training.progress import Ticker, epoch_lines
from embedder_service.training.rates import draw_rates, find_rate
from embedder_service.training.read import read_catalogue
from embedder_service.training.recipes import RECIPES
from embedder_service.training.run import Run
from embedder_service.training.settings import LAYERS, PRECISIONS, FinetuneSettings
from embedder_service.training.team import Team, joined
from embedder_service.training.writable import expect_writable

_DEFAULT = FinetuneSettings()
_NOTHING_TO_JUDGE_BY = (
    "no figures: no two photos are known to show one item or one class; "
    "`lookalike evaluate` looks for changed copies all the same"
)


@dataclass(frozen=True)
class _Places:
    """Where a training reads, what it keeps, and where its model goes."""

    catalogue: Path
    format_name: str
    boxes: bool
    models: Path
    run: Path
    restart: bool


def _folder(**options: Any) -> Any:
    return {"type": click.Path(path_type=Path, file_okay=False), "show_default": True, **options}


@click.command("finetune")
@catalogue_options
@click.option("--models", **_folder(default=Path("models")), help="models/<space_id> goes here.")
@click.option(
    "--run-folder",
    **_folder(default=None, show_default="runs/<catalogue>-<backbone>-<recipe>"),
    help="What is kept an epoch: the state to go on from, metrics, curves, TensorBoard's events.",
)
@click.option("--restart", is_flag=True, help="Begin anew where the run's folder has a training.")
@click.option("--find-rate", is_flag=True, help="Look for a learning rate, print it, and end.")
@click.option(
    "--recipe", default=_DEFAULT.recipe, show_default=True, type=click.Choice(list(RECIPES))
)
@click.option("--backbone", default="resnet152", show_default=True, type=click.Choice(BACKBONES))
@click.option(
    "--layer",
    default=_DEFAULT.layer,
    show_default=True,
    type=click.Choice(LAYERS),
    help="The vector: the recipe's embedding, or the body's average pooling (resnet50: 2048-d).",
)
@click.option(
    "--dimension", default=_DEFAULT.dimension, show_default=True, help="Of the recipe's embedding."
)
@click.option(
    "--weights",
    default="auto",
    show_default=True,
    help="The body's at the start: imagenet, none, a file, or auto (ImageNet's where possible).",
)
@click.option("--side", default=224, show_default=True, help="Side in pixels that the model sees.")
@click.option("--epochs", default=_DEFAULT.epochs, show_default=True)
@click.option(
    "--batch", default=_DEFAULT.batch, show_default=True, help="Photos a step, over all processes."
)
@click.option(
    "--rate", type=float, show_default="the recipe's", help="Learning rate at the cycle's peak."
)
@click.option(
    "--average",
    default=_DEFAULT.average,
    show_default=True,
    help="Decay of the weights' moving average, which is then what is kept; 0: none.",
)
@click.option("--clip", default=_DEFAULT.clip, show_default=True, help="The gradient's most norm.")
@click.option(
    "--patience",
    default=_DEFAULT.patience,
    show_default=True,
    help="End that many epochs after the best, and keep the best; 0: never.",
)
@click.option(
    "--precision", default=_DEFAULT.precision, show_default=True, type=click.Choice(PRECISIONS)
)
@click.option(
    "--device", default="auto", show_default=True, type=click.Choice(["auto", "cpu", "cuda"])
)
@click.option(
    "--threads", default=_DEFAULT.threads, show_default="one a core", help="To read photos."
)
@click.option("--seed", default=0, show_default=True)
def command(
    catalogue: Path,
    format_name: str,
    no_boxes: bool,
    models: Path,
    run_folder: Path | None,
    restart: bool,
    find_rate: bool,
    **options: object,
) -> None:
    """Fine-tune on CATALOGUE: a folder of photos, a known data set's, or a table of photos.

    \b
    lookalike finetune photos/ --models models
    lookalike finetune photos/ --backbone resnet50 --recipe article --epochs 10
    lookalike finetune photos/ --find-rate
    torchrun --nproc-per-node 4 -m embedder_service.training finetune photos/ --batch 256

    Interrupted, the same command goes on after the last whole epoch.
    """
    try:
        settings = FinetuneSettings(**options)  # type: ignore[arg-type]
        place = run_folder or Path(
            "runs", f"{catalogue.resolve().name}-{settings.backbone}-{settings.recipe}"
        )
        places = _Places(catalogue, format_name, not no_boxes, models, place, restart)
        expect_writable("run-folder", place)
        if not find_rate:
            expect_writable("models", models)
        with joined(device_of(settings.device).type) as team:
            (_look_for_rate if find_rate else _train)(places, settings, team)
    except (CatalogueError, ModelError, ValueError, OSError) as error:
        click.echo(str(error), err=True)
        sys.exit(2)


def _train(places: _Places, settings: FinetuneSettings, team: Team) -> None:
    console = Console(quiet=not team.is_first)
    catalogue = _read(console, places)
    run = Run(places.run)
    if team.is_first:
        run.begin(catalogue, settings, places.restart)
        minutes = estimate_minutes(catalogue, settings)
        console.print(
            f"{settings.backbone} at side {settings.side}: about {max(1, round(minutes))} min here"
            + (f", shared by {team.size} processes" if team.size > 1 else "")
        )
    team.wait()
    say = _saying(console)
    with Ticker("training", console) as ticker:
        model = finetune(
            catalogue,
            settings,
            lambda epoch: say(epoch_lines(epoch)),
            ticker.on_step,
            say,
            run,
            team,
        )
    say(f"run: {places.run} (curves.png, metrics.jsonl, tensorboard --logdir {places.run})")
    if team.is_first:
        say(f"model: {_judged_and_saved(console, catalogue, settings, model, places.models)}")


def _judged_and_saved(
    console: Console,
    catalogue: Catalogue,
    settings: FinetuneSettings,
    model: EmbeddingModel,
    models: Path,
) -> Path:
    rows = evaluate(catalogue, model, settings.seed)
    scores = rows[-1].figures.as_dict()
    _saying(console)("\n".join(figure_lines(rows)) if scores else _NOTHING_TO_JUDGE_BY)
    card = model_card(catalogue, settings, rows)
    return checkpoint.save(model, models, golden_photos(catalogue), card, scores)


def _look_for_rate(places: _Places, settings: FinetuneSettings, team: Team) -> None:
    if team.size > 1:
        raise ValueError(f"find-rate: expected one process, got {team.size}")
    console = Console()
    catalogue = _read(console, places)
    with Ticker("looking for a rate", console) as ticker:
        curve = find_rate(catalogue, settings, ticker.on_step, _saying(console))
    picture = places.run / "rates.png"
    draw_rates(curve, picture)
    _saying(console)(f"--rate {curve.suggestion:.1e} (curve: {picture})")


def _read(console: Console, places: _Places) -> Catalogue:
    with Ticker("looking at every photo", console) as ticker:
        catalogue = read_catalogue(
            places.catalogue, places.format_name, boxes=places.boxes, on_step=ticker.on_step
        )
    for note in catalogue.notes:
        _saying(console)(f"note: {note}")
    for damaged in catalogue.damaged:
        _saying(console)(f"left out: {damaged.path}: {damaged.reason}")
    return catalogue


def _saying(console: Console) -> Callable[[str], None]:
    """As it is: a path may hold what rich would take for markup."""
    return lambda text: console.print(text, highlight=False, markup=False, soft_wrap=True)
