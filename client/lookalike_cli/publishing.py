"""`lookalike index publish`: at once, or only if replicas can live with it."""

from functools import partial
from pathlib import Path

import click

from lookalike_cli.fleets import fleet_of, replica_options
from lookalike_cli.generations import manifest_json
from lookalike_cli.printing import json_option, print_json
from lookalike_cli.stores import new_store_option, saying_what_is_wrong
from search_service.build import (
    Ending,
    Fate,
    Outcome,
    Patience,
    Published,
    publish,
    publish_and_follow,
)
from search_service.store import Store


@click.command("publish")
@click.argument("built", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("name")
@new_store_option
@click.option("--only", is_flag=True, help="Stop serving the index's other spaces.")
@click.option(
    "--wait",
    type=click.IntRange(1),
    metavar="N",
    help="How many replicas must serve it. Default, where replicas are named: all.",
)
@replica_options
@click.option(
    "--timeout",
    default=600.0,
    show_default=True,
    type=click.FloatRange(min=0, min_open=True),
    help="Seconds that the try may take, and then the replicas to serve it.",
)
@click.option(
    "--watch",
    default=60.0,
    show_default=True,
    type=click.FloatRange(min=0),
    help="Seconds to watch the replicas once they serve it.",
)
@json_option
@saying_what_is_wrong
def publish_command(
    built: Path,
    name: str,
    store: Path,
    only: bool,
    wait: int | None,
    replica: tuple[str, ...],
    replicas: str | None,
    timeout: float,
    watch: float,
    as_json: bool,
) -> None:
    """Publish what `lookalike index build` made in BUILT as the next generation of index NAME.

    \b
    lookalike index publish built/ dresses --store store/
    lookalike index publish built/ dresses --store store/ --wait 2 \\
        --replica search-0:50061 --replica search-1:50061 --replica search-2:50061
    lookalike index publish built/ dresses --store store/ --replicas search-headless:50061

    It takes the place of the generation of the same space. One of another space is served beside
    the others, so that callers can change models in their own time; --only ends that.

    With replicas it is safe to do at night: one replica tries the generation without serving it,
    CURRENT moves if that passes, and the replicas are followed until N serve it, then watched. When
    one refuses it, answers with INTERNAL, has a lower live recall than before, or the time passes,
    CURRENT moves back, unless somebody else has moved it. How far it is, and whom it waits for, is
    said on stderr. The exit code is 0 only if it stays.
    """
    fleet = fleet_of(replica, replicas)
    if wait and fleet is None:
        raise click.UsageError("--wait: expected --replica or --replicas with it, got neither")
    if wait and not replicas and wait > len(set(replica)):
        raise click.UsageError(
            f"--wait: expected at most the {len(set(replica))} named, got {wait}"
        )
    if fleet is None:
        _say_published(name, publish(Store(store), name, built, only=only), as_json)
        return
    patience = Patience(replicas=wait, timeout_seconds=timeout, watch_seconds=watch)
    with fleet:
        outcome = publish_and_follow(
            Store(store), name, built, fleet, patience, only=only, say=partial(click.echo, err=True)
        )
    _say_outcome(outcome, as_json)
    if outcome.ending is not Ending.SERVED:
        raise click.exceptions.Exit(1)


def _say_published(name: str, published: Published, as_json: bool) -> None:
    manifest = published.manifest
    if as_json:
        print_json({**manifest_json(manifest, published.sha256), "current": published.is_current})
    elif published.is_current:
        click.echo(f"{name}: CURRENT is generation {manifest.number}")
    else:
        click.echo(
            f"{name}: generation {manifest.number} is written; CURRENT stays, the index is on hold"
        )


def _say_outcome(outcome: Outcome, as_json: bool) -> None:
    if not as_json:
        click.echo(outcome.message)
        return
    published = outcome.published
    print_json(
        {
            **manifest_json(published.manifest, published.sha256),
            "current": outcome.fate is Fate.MOVED,
            "ending": outcome.ending,
            "fate": outcome.fate,
            "message": outcome.message,
        }
    )
