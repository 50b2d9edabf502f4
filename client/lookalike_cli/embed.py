"""`lookalike embed`: photos to vectors, through the embedder."""

from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

import click
from lookalike_client import Client
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from lookalike_cli.addresses import connect, connection_options
from lookalike_cli.catalogue import Embedded, Failure, Photograph, SpaceChanged, embed_catalogue
from lookalike_cli.photographs import find_photographs, join_table
from lookalike_cli.printing import json_option, print_json

SHOWN_FAILURES = 5


@click.command()
@click.argument(
    "paths",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, path_type=Path),
    metavar="PATH...",
)
@click.option(
    "-o",
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Where to write.",
)
@click.option(
    "--table",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A CSV with a column photo_id; item_id and its other columns go into photos.csv. "
    "A column box (left top right bottom, in pixels) says which part of a photo to embed.",
)
@click.option("--images-per-call", default=16, show_default=True, type=click.IntRange(1, 64))
@click.option("--calls-in-flight", default=4, show_default=True, type=click.IntRange(1, 256))
@click.option(
    "--max-failed",
    default=0,
    show_default=True,
    type=click.IntRange(0),
    help="How many photos may go without a vector before the exit code is 1.",
)
@connection_options
@json_option
def command(
    paths: tuple[Path, ...],
    out: Path,
    table: Path | None,
    images_per_call: int,
    calls_in_flight: int,
    max_failed: int,
    embedder: str | None,
    search: str | None,
    folder: Path | None,
    as_json: bool,
) -> None:
    """Embed the photos below each PATH (JPEG, PNG, WebP) into the folder OUT.

    \b
    lookalike embed photos/ -o vectors/
    lookalike embed photos/ -o vectors/ --table catalogue.csv
    lookalike index build vectors/ ...       what comes next

    A photo's id is its path below PATH. OUT gets vectors.npy, photos.csv (a row a vector),
    space.json, and failed.csv for photos that could not be embedded: the exit code is then 1,
    unless --max-failed allows for them.
    """
    photographs = find_photographs(paths)
    missing: list[Failure] = []
    if table is not None:
        photographs, missing = join_table(photographs, table)
        _expect_pillow(photographs)
    with connect(embedder, search, folder, needed=["embedder"]) as client:
        done = _embed(client, photographs, out, missing, images_per_call, calls_in_flight)
    if as_json:
        print_json({**asdict(done), "out": str(out)})
    else:
        click.echo(f"{done.photos} photos embedded into {out} in {done.seconds:.1f} s")
    if len(done.failures) > max_failed:
        raise click.ClickException(_said(done.failures, out))
    if done.failures:
        click.echo(_said(done.failures, out), err=True)


def _expect_pillow(photographs: list[Photograph]) -> None:
    if any(photo.box for photo in photographs) and find_spec("PIL") is None:
        raise click.ClickException(
            "--table: a column box needs Pillow: pip install '.[cli,embedder]' in a checkout"
        )


def _embed(
    client: Client,
    photographs: list[Photograph],
    out: Path,
    missing: list[Failure],
    images_per_call: int,
    calls_in_flight: int,
) -> Embedded:
    columns = (TextColumn("embedding"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("embedding", total=len(photographs))
        try:
            return embed_catalogue(
                client,
                photographs,
                out,
                images_per_call=images_per_call,
                calls_in_flight=calls_in_flight,
                failures=missing,
                progress=lambda done: bar.update(task, completed=done),
            )
        except SpaceChanged as error:
            raise click.ClickException(str(error)) from error


def _said(failures: tuple[Failure, ...], out: Path) -> str:
    shown = [f"  {one.photo_id}: {one.reason}: {one.message}" for one in failures[:SHOWN_FAILURES]]
    more = len(failures) - len(shown)
    rest = [f"  and {more} more"] if more else []
    head = f"photos without a vector: {len(failures)}; {out / 'failed.csv'} has them all"
    return "\n".join([head, *shown, *rest])
