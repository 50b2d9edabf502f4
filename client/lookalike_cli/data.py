"""`lookalike data show`: what a catalogue of photos holds, before anything is learnt from it."""

from collections.abc import Iterator
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape

from embedder_service.training.catalogue_options import catalogue_options
from embedder_service.training.class_sheet import draw_classes
from embedder_service.training.data import Catalogue, CatalogueError
from embedder_service.training.progress import Ticker
from embedder_service.training.read import read_catalogue
from embedder_service.training.summary import Summary
from lookalike_cli.printing import json_option, print_json, print_table

SHOWN = 10  # of the damaged files, and of the copies
BAR = 30
PICTURES = (".png", ".jpg", ".jpeg")
LEARNT = {
    ("class", "item"): "classes and items",
    ("class",): "classes alone",
    ("item",): "items alone",
    (): "neither classes nor items: each photo is its own item",
}


class Unreadable(click.ClickException):
    """A catalogue that cannot be read."""

    exit_code = 2


@click.group()
def command() -> None:
    """Catalogues of photos: look before you learn."""


@command.command("show")
@catalogue_options
@click.option(
    "--top", default=20, show_default=True, type=click.IntRange(1), help="Classes to list."
)
@click.option(
    "--sheet",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=lambda _context, _option, path: _expect_picture(path),
    help="A .png or .jpg to draw: a row of photos for each class.",
)
@json_option
def show_command(
    catalogue: Path,
    format_name: str,
    no_boxes: bool,
    top: int,
    sheet: Path | None,
    as_json: bool,
) -> None:
    """Count what CATALOGUE holds: a folder, or a table of photos in CSV or Parquet.

    \b
    lookalike data show photos/
    lookalike data show catalogue.csv --sheet classes.png
    lookalike data show DeepFashion/ --json

    Every photo is decoded once. Damaged ones are named with the reason; a training leaves them out.
    The exit code is 2 where the catalogue cannot be read.
    """
    try:
        with Ticker("looking at every photo", Console(stderr=True)) as ticker:
            read = read_catalogue(
                catalogue, format_name, boxes=not no_boxes, on_step=ticker.on_step
            )
        if as_json:
            print_json(Summary(read).as_dict())
        else:
            _print(Summary(read), top)
        if sheet is not None:
            draw_classes(sheet, read)
            click.echo(f"sheet: {sheet}", err=True)
    except (CatalogueError, OSError) as error:
        raise Unreadable(str(error)) from error


def _expect_picture(path: Path | None) -> Path | None:
    """Told before the photos are looked at, not after."""
    if path is not None and path.suffix.lower() not in PICTURES:
        raise click.BadParameter(f"expected a name that ends in .png or .jpg, got {path.name}")
    if path is not None and not path.parent.is_dir():
        raise click.BadParameter(f"expected a folder to write to, got {path.parent}")
    return path


def _print(summary: Summary, top: int) -> None:
    click.echo("\n".join(_head(summary)))
    click.echo()
    print_table(
        "",
        ("split", "photos ", "items ", "classes "),
        [
            (name, f"{part.photos:,}", f"{part.items:,}", f"{part.classes:,}")
            for name, part in summary.splits.items()
        ],
    )
    if summary.classes:
        click.echo()
        print_table("", ("class", "photos ", ""), _class_rows(summary, top))
    for line in (*_damaged(summary.catalogue), *_copies(summary)):
        click.echo(line)


def _head(summary: Summary) -> Iterator[str]:
    catalogue = summary.catalogue
    yield f"{catalogue.folder}: {catalogue.format_name}"
    yield (
        f"{len(catalogue.photos):,} photos of {len(catalogue.items):,} items in "
        f"{len(catalogue.categories):,} classes; damaged files: {len(catalogue.damaged):,}"
    )
    least, median, most = summary.photos_per_item
    yield f"photos an item: {least:,} to {most:,}, median {median:g}"
    yield f"to learn from: {LEARNT[summary.labels]}"
    yield (
        f"to judge by: {len(catalogue.queries):,} photos to search with among "
        f"{len(catalogue.gallery):,}; {len(catalogue.new_items):,} items are new to a training"
    )
    if summary.boxes:
        yield (f"boxes: {summary.boxes:,} of {len(catalogue.photos):,} photos are read there alone")
    if not catalogue.has_splits:
        yield "note: it came without splits; these are made by the photos' ids"
    if summary.classes_not_trained:
        yield f"note: classes without a training photo: {', '.join(summary.classes_not_trained)}"
    yield from (f"note: {note}" for note in catalogue.notes)


def _class_rows(summary: Summary, top: int) -> Iterator[tuple[str, str, str]]:
    counts = list(summary.classes.items())
    most = counts[0][1]
    for name, count in counts[:top]:
        yield escape(name), f"{count:,}", "█" * max(1, round(BAR * count / most))
    if rest := counts[top:]:
        yield f"{len(rest):,} more, {rest[-1][1]:,} to {rest[0][1]:,} each", f"{_sum(rest):,}", ""
    if unknown := len(summary.catalogue.photos) - _sum(counts):
        yield "no class known", f"{unknown:,}", ""


def _sum(counts: list[tuple[str, int]]) -> int:
    return sum(count for _, count in counts)


def _damaged(catalogue: Catalogue) -> Iterator[str]:
    if catalogue.damaged:
        yield f"\ndamaged, left out: {len(catalogue.damaged):,}"
    yield from (f"  {each.path}: {each.reason}" for each in catalogue.damaged[:SHOWN])
    yield from _rest(len(catalogue.damaged))


def _copies(summary: Summary) -> Iterator[str]:
    copies = summary.copies
    if copies:
        spares = sum(map(len, copies)) - len(copies)
        yield (
            f"\ncopies, the same bytes: {spares:,} files too many in {len(copies):,} groups, "
            f"{summary.copies_across_splits:,} of which are in more than one split"
        )
    for group in copies[:SHOWN]:
        yield (
            "  "
            + " = ".join(f"{photo.photo_id} ({photo.split})" for photo in group[:3])
            + (f" and {len(group) - 3:,} more" if len(group) > 3 else "")
        )
    yield from _rest(len(copies))


def _rest(count: int) -> Iterator[str]:
    if count > SHOWN:
        yield f"  and {count - SHOWN:,} more; --json names them all"
