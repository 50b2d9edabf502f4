"""`lookalike index publish`: at once, or only if replicas can live with it."""

from pathlib import Path

import click

from lookalike_cli.followers import (
    Followers,
    fail_unless_served,
    follower_options,
    outcome_json,
)
from lookalike_cli.generations import manifest_json
from lookalike_cli.printing import json_option, print_json
from lookalike_cli.stores import new_store_option, saying_what_is_wrong
from search_service.build import Outcome, Published, publish
from search_service.store import Store


@click.command("publish")
@click.argument("built", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("name")
@new_store_option
@click.option("--only", is_flag=True, help="Stop serving the index's other spaces.")
@follower_options
@json_option
@saying_what_is_wrong
def publish_command(
    built: Path,
    name: str,
    store: Path,
    only: bool,
    followers: Followers | None,
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
    opened = Store(store)
    published = publish(opened, name, built, only=only, serve=followers is None)
    if followers is None:
        _say_published(name, published, as_json)
        return
    (outcome,) = followers.follow(opened, [published], only=only)
    _say_outcome(outcome, as_json)
    fail_unless_served([outcome])


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
    print_json({**manifest_json(published.manifest, published.sha256), **outcome_json(outcome)})
