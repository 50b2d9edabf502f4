"""`lookalike index`: vectors to a published generation, and CURRENT back and forth."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import click

from lookalike_cli.changes import add_command, compact_command, remove_command
from lookalike_cli.generations import COLUMNS, listed_json, row
from lookalike_cli.index_status import status_command
from lookalike_cli.pinning import pin_command, unpin_command
from lookalike_cli.printing import json_option, print_json, print_table
from lookalike_cli.publishing import publish_command
from lookalike_cli.stores import saying_what_is_wrong, store_option
from lookalike_cli.tuning import tune_command
from search_service.build import (
    BuildOptions,
    Source,
    build,
    held_by,
    hold,
    listing,
    prune,
    read_source,
    release,
    roll_back,
)
from search_service.manifest import NAME, AttributeKind, Draft, FormatError, Hold
from search_service.options import DEFAULT_RECALL
from search_service.store import Store

KINDS = ("string", "int64", "double", "bool", "timestamp", "strings")


@click.group()
def command() -> None:
    """Build an index from vectors, publish it, and move back.

    \b
    lookalike embed photos/ -o vectors/
    lookalike index build vectors/ -o built/
    lookalike index publish built/ dresses --store store/
    lookalike index list --store store/
    lookalike index rollback dresses --store store/

    A publish writes a new generation and moves CURRENT to it; running replicas follow within their
    poll interval. Nothing that is served is ever written again. With --replica it is tried by a
    replica first, and CURRENT goes back where replicas refuse it or ail of it.
    """


for each in (
    add_command,
    compact_command,
    pin_command,
    publish_command,
    remove_command,
    status_command,
    tune_command,
    unpin_command,
):
    command.add_command(each)


@command.command("build")
@click.argument("vectors", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "-o", "--out", required=True, type=click.Path(path_type=Path), help="A folder to make."
)
@click.option(
    "--engine",
    type=click.Choice(["auto", "fastest", "annoy", "graph", "exact"]),
    default="auto",
    show_default=True,
    help="auto: compares all up to 2,000 photos, annoy above. fastest: annoy or the graph.",
)
@click.option(
    "--type",
    "types",
    multiple=True,
    metavar="NAME=KIND",
    help=f"The type of an attribute that would be read as another: {', '.join(KINDS)}.",
)
@click.option(
    "--target-recall",
    default=DEFAULT_RECALL,
    show_default=True,
    type=click.FloatRange(0, DEFAULT_RECALL),
    help="Where engines and widths are compared: at the most that callers ask an engine for.",
)
@click.option("--trees", default=50, show_default=True, type=click.IntRange(1, 1000))
@click.option(
    "--article",
    type=click.IntRange(1, 1000),
    metavar="CLASSES",
    help="annoy as it comes: all dimensions, one tree a class.",
)
@click.option("--deterministic", is_flag=True, help="The same bytes each time, on one thread.")
@json_option
@saying_what_is_wrong
def build_command(
    vectors: Path,
    out: Path,
    engine: str,
    types: tuple[str, ...],
    target_recall: float,
    trees: int,
    article: int | None,
    deterministic: bool,
    as_json: bool,
) -> None:
    """Build the files of a generation from VECTORS, a folder that `lookalike embed` made.

    \b
    lookalike index build vectors/ -o built/
    lookalike index build vectors/ -o built/ --type size=string

    What annoy and the graph stand on is chosen by measuring: the table shows which effort reaches
    which recall. A graph asks of replicas that the extra `graph` is installed. `lookalike index
    tune` compares the engines beforehand.
    """
    options = BuildOptions(
        engine=cast(Any, engine),
        target_recall=target_recall,
        trees=trees,
        threads=1 if deterministic else -1,
    )
    if article is not None:
        options = replace(BuildOptions.article(article), threads=options.threads)
    begun = time.monotonic()
    draft = build(_source(vectors, dict(map(_kind, types))), out, options)
    seconds = time.monotonic() - begun
    if as_json:
        print_json({"out": str(out), "seconds": round(seconds, 2), **_draft_json(draft)})
        return
    segment = draft.base
    click.echo(
        f"{segment.photos:,} photos of {segment.items:,} items, {draft.dimension} dimensions, "
        f"engine {segment.engine}, in {seconds:.1f} s: {out}"
    )
    if segment.efforts:
        width = f"{segment.width} directions" if segment.width else "all dimensions"
        print_table(
            f"\n{f'{segment.trees} trees' if segment.trees else 'a graph'} over {width}",
            ("effort ", "compared ", "recall@10 ", "us a query "),
            [
                (point.effort, point.depth, f"{point.recall:.4f}", f"{point.micros:.0f}")
                for point in segment.efforts
            ],
        )
    click.echo(f"\nNext: lookalike index publish {out} NAME --store DIR")


@command.command("list")
@click.argument("name", required=False)
@store_option
@json_option
@saying_what_is_wrong
def list_command(name: str | None, store: Path, as_json: bool) -> None:
    """List the generations of index NAME, or of all, the newest first."""
    opened = Store(store)
    found = [
        (index, each)
        for index in ([name] if name else _indexes(opened))
        for each in listing(opened, index)
    ]
    holds = {
        index: held for index in {index for index, _ in found} if (held := _hold(opened, index))
    }
    if as_json:
        print_json(
            {
                "holds": {index: held.reason for index, held in holds.items()},
                "generations": [
                    {**listed_json(index, each), "current": each.is_current}
                    for index, each in found
                ],
            }
        )
        return
    print_table(
        "",
        ("index", *COLUMNS),
        [(index, *row(each)) for index, each in found],
    )
    for index, held in sorted(holds.items()):
        click.echo(f"{index} is on hold since {held.since}: {held.reason}")


def _indexes(store: Store) -> list[str]:
    """A file or another folder that somebody left there is none."""
    names = filter(NAME.fullmatch, store.names("indexes"))
    return [name for name in names if (store.root / "indexes" / name).is_dir()]


def _hold(store: Store, index: str) -> Hold | None:
    """One that cannot be read is one all the same."""
    try:
        return held_by(store, index)
    except FormatError as error:
        return Hold(reason=str(error), since="?")


@command.command("rollback")
@click.argument("name")
@store_option
@click.option("--to", type=int, metavar="NUMBER", help="Default: the generation before.")
@json_option
@saying_what_is_wrong
def rollback_command(name: str, store: Path, to: int | None, as_json: bool) -> None:
    """Move CURRENT of index NAME back to the generation before, or to a numbered one.

    \b
    lookalike index rollback dresses --store store/
    lookalike index hold dresses --store store/ --reason "generation 12 lost the shoes"

    The next publish moves CURRENT on again: put the index on hold to stay.
    """
    manifest = roll_back(Store(store), name, to=to)
    if as_json:
        print_json({"index": name, "generation": manifest.number})
    else:
        click.echo(f"{name}: CURRENT is generation {manifest.number}")


@command.command("hold")
@click.argument("name")
@store_option
@click.option("--reason", required=True, help="For whoever wonders why nothing new is served.")
@json_option
@saying_what_is_wrong
def hold_command(name: str, store: Path, reason: str, as_json: bool) -> None:
    """Keep CURRENT of index NAME where it is: publishes still write, rollback still moves it."""
    held = hold(Store(store), name, reason)
    if as_json:
        print_json({"index": name, "reason": held.reason, "since": held.since})
    else:
        click.echo(f"{name}: on hold since {held.since}; `lookalike index release` ends it")


@command.command("release")
@click.argument("name")
@store_option
@json_option
@saying_what_is_wrong
def release_command(name: str, store: Path, as_json: bool) -> None:
    """End a hold. What was published meanwhile waits for the next publish or `rollback --to`."""
    release(Store(store), name)
    if as_json:
        print_json({"index": name, "held": False})
    else:
        click.echo(f"{name}: released")


@command.command("prune")
@store_option
@click.option(
    "--keep",
    default=3,
    show_default=True,
    type=click.IntRange(1),
    help="Generations an index, at least.",
)
@click.option(
    "--grace-hours",
    default=24.0,
    show_default=True,
    type=click.FloatRange(min=0),
    help="What is younger stays: longer than the longest publish.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@json_option
@saying_what_is_wrong
def prune_command(store: Path, keep: int, grace_hours: float, dry_run: bool, as_json: bool) -> None:
    """Remove generations and blobs that nothing needs any more.

    CURRENT, what it can be rolled back to, and everything of an index on hold stay.
    """
    gone = prune(Store(store), keep=keep, grace_seconds=grace_hours * 3600, dry_run=dry_run)
    if as_json:
        print_json({"manifests": gone.manifests, "blobs": gone.blobs, "bytes": gone.bytes})
        return
    click.echo(
        f"{'would remove' if dry_run else 'removed'} {len(gone.manifests)} generations and "
        f"{len(gone.blobs)} blobs, {gone.bytes / 1e6:,.1f} MB"
    )


def _kind(text: str) -> tuple[str, AttributeKind]:
    name, _, kind = text.partition("=")
    if kind not in KINDS:
        raise click.UsageError(f"--type: expected NAME=KIND, one of {', '.join(KINDS)}, got {text}")
    return name, cast(AttributeKind, kind)


def _source(vectors: Path, types: dict[str, AttributeKind]) -> Source:
    source = read_source(vectors, types)
    known = source.photos.column_names
    if strange := sorted(set(types) - set(known)):
        raise click.UsageError(f"--type: expected one of {', '.join(known)}, got {strange[0]}")
    return source


def _draft_json(draft: Draft) -> dict[str, object]:
    segment = draft.base
    return {
        "space_id": draft.space_id,
        "dimension": draft.dimension,
        "photos": segment.photos,
        "items": segment.items,
        "engine": segment.engine,
        "width": segment.width,
        "trees": segment.trees,
        "efforts": [
            {"effort": point.effort, "recall": point.recall, "micros": point.micros}
            for point in segment.efforts
        ],
    }
