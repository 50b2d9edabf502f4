"""What verbs share whose generation replicas have to live with: the options, and how it ended."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any, TypeVar, cast

import click

from lookalike_cli.fleets import fleet_of, replica_options
from search_service.build import Ending, Fate, Fleet, Outcome, Patience, Published, follow
from search_service.store import Store

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Followers:
    """Replicas that have to live with a new generation, or CURRENT does not stay with it."""

    fleet: Fleet
    patience: Patience

    def follow(
        self, store: Store, published: Sequence[Published], *, only: bool = False
    ) -> Iterator[Outcome]:
        """How each of them ended, one after the other, up to the first that does not stay.

        How far it is, is said on stderr.
        """
        say = partial(click.echo, err=True)
        with self.fleet:
            for number, each in enumerate(published, 1):
                outcome = follow(store, each, self.fleet, self.patience, only=only, say=say)
                yield outcome
                if outcome.ending is not Ending.SERVED:
                    for other in published[number:]:
                        manifest = other.manifest
                        say(f"{manifest.index}: generation {manifest.number} is not tried any more")
                    return


def fail_unless_served(outcomes: Sequence[Outcome]) -> None:
    """The exit code is 0 only where everything stays."""
    if any(each.ending is not Ending.SERVED for each in outcomes):
        raise click.exceptions.Exit(1)


def outcome_json(outcome: Outcome) -> dict[str, object]:
    """How a generation ended that replicas had to live with."""
    return {
        "generation": outcome.published.manifest.number,
        "current": outcome.fate is Fate.MOVED,
        "ending": outcome.ending,
        "fate": outcome.fate,
        "message": outcome.message,
    }


def follower_options(command: Function) -> Function:
    """--wait, --replica, --replicas, --timeout and --watch, as `followers`: None where no replica
    is named."""

    @wraps(command)
    def following(
        *args: object,
        wait: int | None,
        replica: tuple[str, ...],
        replicas: str | None,
        timeout: float,
        watch: float,
        **kwargs: object,
    ) -> object:
        patience = Patience(replicas=wait, timeout_seconds=timeout, watch_seconds=watch)
        return command(*args, followers=_followers(replica, replicas, patience), **kwargs)

    for option in (
        click.option(
            "--watch",
            default=60.0,
            show_default=True,
            type=click.FloatRange(min=0),
            help="Seconds to watch the replicas once they serve it.",
        ),
        click.option(
            "--timeout",
            default=600.0,
            show_default=True,
            type=click.FloatRange(min=0, min_open=True),
            help="Seconds that the try may take, and then the replicas to serve it.",
        ),
        replica_options,
        click.option(
            "--wait",
            type=click.IntRange(1),
            metavar="N",
            help="How many replicas must serve it. Default, where replicas are named: all.",
        ),
    ):
        following = option(following)
    return cast(Function, following)


def _followers(
    replica: tuple[str, ...], replicas: str | None, patience: Patience
) -> Followers | None:
    fleet, wait = fleet_of(replica, replicas), patience.replicas
    if wait and fleet is None:
        raise click.UsageError("--wait: expected --replica or --replicas with it, got neither")
    if wait and not replicas and wait > len(set(replica)):
        raise click.UsageError(
            f"--wait: expected at most the {len(set(replica))} named, got {wait}"
        )
    return Followers(fleet, patience) if fleet else None
