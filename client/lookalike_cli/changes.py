"""`lookalike index add | remove | compact`: an index changed without a build of the whole."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TextIO

import click

from lookalike_cli.followers import (
    Followers,
    fail_unless_served,
    follower_options,
    outcome_json,
)
from lookalike_cli.printing import json_option, print_json
from lookalike_cli.stores import saying_what_is_wrong, store_option
from search_service.build import (
    Changed,
    Outcome,
    Published,
    add,
    compact,
    read_source,
    remove,
    types_of,
)
from search_service.store import Store

# Beyond this the delta costs queries more than a rebuild costs the night (docs/decisions.md).
DUE_SHARE = 0.05


@click.command("add")
@click.argument("name")
@click.argument("vectors", type=click.Path(exists=True, file_okay=False, path_type=Path))
@store_option
@follower_options
@json_option
@saying_what_is_wrong
def add_command(
    name: str, vectors: Path, store: Path, followers: Followers | None, as_json: bool
) -> None:
    """Add the items of VECTORS, a folder that `lookalike embed` made, to index NAME.

    \b
    lookalike embed new-photos/ -o new/
    lookalike index add dresses new/ --store store/

    An item that the index holds already is replaced, with all its photos and attributes. Attributes
    that VECTORS lacks are missing of the new items; a new attribute takes a build of the whole
    index. Replicas copy only what is new and follow within seconds. With --replica or --replicas
    the change stays only if they can live with it, as a publish does.
    """
    opened = Store(store)
    begun = time.monotonic()
    source = read_source(vectors, types_of(opened, name))
    changed = add(opened, name, source, serve=followers is None)
    _finish(opened, name, [changed], time.monotonic() - begun, followers, as_json)


@click.command("remove")
@click.argument("name")
@click.argument("item_ids", nargs=-1)
@click.option(
    "--ids",
    type=click.File(encoding="utf-8"),
    help="A file with an item id a line; - reads standard input.",
)
@store_option
@follower_options
@json_option
@saying_what_is_wrong
def remove_command(
    name: str,
    item_ids: tuple[str, ...],
    ids: TextIO | None,
    store: Path,
    followers: Followers | None,
    as_json: bool,
) -> None:
    """Remove items by id from index NAME, in every space that it serves.

    \b
    lookalike index remove dresses item-17 item-18 --store store/
    sold-out | lookalike index remove dresses --ids - --store store/

    Ids that the index does not hold change nothing. With --replica or --replicas the change stays
    only if they can live with it, as a publish does.
    """
    wanted = [*item_ids, *(line for line in map(_line, ids or ()) if line)]
    if not wanted:
        raise click.UsageError("item_ids: expected at least one, or --ids, got none")
    begun = time.monotonic()
    opened = Store(store)
    changed = remove(opened, name, wanted, serve=followers is None)
    _finish(opened, name, changed, time.monotonic() - begun, followers, as_json)


@click.command("compact")
@click.argument("name")
@click.option("--deterministic", is_flag=True, help="The same bytes each time, on one thread.")
@store_option
@follower_options
@json_option
@saying_what_is_wrong
def compact_command(
    name: str, deterministic: bool, store: Path, followers: Followers | None, as_json: bool
) -> None:
    """Rebuild index NAME from its stored vectors, as one segment without dead rows.

    \b
    lookalike index compact dresses --store store/

    It is due when a delta has grown past 5 % of the base; `lookalike index list` shows it. With
    --replica or --replicas it stays only if they can live with it, as a publish does.
    """
    opened, threads = Store(store), 1 if deterministic else -1
    begun = time.monotonic()
    published = compact(opened, name, threads=threads, serve=followers is None)
    seconds = time.monotonic() - begun
    if not as_json:
        for each in published:
            made = _generation(each, followers)
            click.echo(f"{name}: {made}, one segment, in {seconds:.1f} s")
        if not published:
            click.echo(f"{name}: nothing to compact, no delta and nothing dead")
    outcomes = _follow(opened, published, followers, as_json)
    if as_json:
        numbers = [each.manifest.number for each in published]
        said = {"index": name, "generations": numbers, "seconds": round(seconds, 2)}
        ended = {"outcomes": [outcome_json(each) for each in outcomes]} if followers else {}
        print_json({**said, **ended})
    fail_unless_served(outcomes)


def _line(text: str) -> str:
    return text.rstrip("\r\n")


def _finish(
    store: Store,
    name: str,
    changes: list[Changed],
    seconds: float,
    followers: Followers | None,
    as_json: bool,
) -> None:
    """Has the changes followed, where there are followers, and says what became of them."""
    if not as_json:
        _say(name, changes, seconds, followers)
    published = [each.published for each in changes if each.published]
    outcomes = _follow(store, published, followers, as_json)
    if as_json:
        ends = {each.published.manifest.number: outcome_json(each) for each in outcomes}
        print_json({"index": name, "changes": [_json(each, ends) for each in changes]})
    fail_unless_served(outcomes)


def _say(name: str, changes: list[Changed], seconds: float, followers: Followers | None) -> None:
    for each in changes:
        counts = {"added": each.added, "changed": each.changed, "removed": each.removed}
        words = ", ".join(f"{_items(count)} {what}" for what, count in counts.items() if count)
        unknown = f"; not there: {_items(each.unknown)}" if each.unknown else ""
        if each.published is None:
            click.echo(f"{name}: nothing changes{unknown}")
            continue
        made = _generation(each.published, followers)
        click.echo(f"{name}: {made}, {words}{unknown}, in {seconds:.1f} s")
        share = each.published.manifest.changed_share
        if share > DUE_SHARE:
            click.echo(f"{share:.0%} of the base changed: `lookalike index compact {name}` is due")


def _follow(
    store: Store, published: Sequence[Published], followers: Followers | None, as_json: bool
) -> list[Outcome]:
    """Says each as it ends: what is said of one space stays said if the next one breaks off."""
    outcomes = []
    for outcome in followers.follow(store, published) if followers else ():
        outcomes.append(outcome)
        if not as_json:
            click.echo(outcome.message)
    return outcomes


def _items(count: int) -> str:
    return "1 item" if count == 1 else f"{count:,} items"


def _generation(published: Published, followers: Followers | None) -> str:
    number = published.manifest.number
    if published.is_current:
        return f"CURRENT is generation {number}"
    if followers:
        return f"generation {number}"
    return f"generation {number} is written; CURRENT stays, the index is on hold"


def _json(changed: Changed, ends: Mapping[int, Mapping[str, object]]) -> dict[str, object]:
    """ends: by generation, where replicas had to live with it."""
    published = changed.published
    return {
        "generation": published.manifest.number if published else None,
        "space_id": changed.space_id,
        "added": changed.added,
        "changed": changed.changed,
        "removed": changed.removed,
        "unknown": changed.unknown,
        "changed_share": round(published.manifest.changed_share, 4) if published else None,
        **(ends.get(published.manifest.number, {}) if published else {}),
    }
