"""`lookalike model`: what a store has, what goes into it, and what is made ready to serve."""

from collections.abc import Mapping
from pathlib import Path

import click

from embedder_service.model_store import StoredModel, publish, stored_models
from embedder_service.spec import ModelError
from lookalike_cli.compiling import command as compile_command
from lookalike_cli.printing import json_option, print_json, print_table

_SCORES = ("item_recall_at_1", "category_recall_at_1")


@click.group()
def command() -> None:
    """Models: publish them, list them, make them ready to serve."""


command.add_command(compile_command)


@command.command("publish")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--store",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The store: its folder; made where it is not there.",
)
@json_option
def publish_command(folder: Path, store: Path, as_json: bool) -> None:
    """Put the model in FOLDER, as `lookalike finetune` left it, into a store.

    \b
    lookalike model publish models/72d2... --store store/

    Its weights must make the space that it is named by, and its golden photos the vectors beside
    them. It appears as store/models/<space_id>, whole; one that is there already stays.
    """
    try:
        path, is_new = publish(folder, store)
    except (ModelError, OSError) as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        print_json({"space_id": path.name, "folder": path, "is_new": is_new})
    else:
        click.echo(f"{'published' if is_new else 'already there'}: {path}")


@command.command("list")
@click.argument("store", type=click.Path(exists=True, file_okay=False, path_type=Path))
@json_option
def list_command(store: Path, as_json: bool) -> None:
    """List the models of STORE, the newest first.

    \b
    lookalike model list store/
    """
    models, problems = stored_models(store)
    if as_json:
        print_json({"models": [_as_json(model) for model in models], "damaged": problems})
        return
    if not models and not problems:
        click.echo(
            f"no models in {store / 'models'}: `lookalike model publish FOLDER --store {store}` "
            "puts one there",
            err=True,
        )
        return
    print_table(
        "",
        (
            "space",
            "backbone",
            "head",
            "dimension ",
            "side ",
            "item r@1 ",
            "category r@1 ",
            "created",
        ),
        [_row(model) for model in models],
    )
    for problem in problems:
        click.echo(problem, err=True)


def _row(model: StoredModel) -> tuple[object, ...]:
    spec = model.spec
    return (
        model.space_id,
        spec.backbone,
        spec.head,
        spec.dimension,
        spec.preprocessing.crop,
        *(_share(model.scores, name) for name in _SCORES),
        model.created,
    )


def _share(scores: Mapping[str, float], name: str) -> str:
    return f"{scores[name]:.1%}" if name in scores else ""


def _as_json(model: StoredModel) -> dict[str, object]:
    spec = model.spec
    return {
        "space_id": model.space_id,
        "backbone": spec.backbone,
        "head": spec.head,
        "dimension": spec.dimension,
        "side": spec.preprocessing.crop,
        "classes": len(spec.classes),
        "scores": dict(model.scores),
        "created": model.created,
    }
