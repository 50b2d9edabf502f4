"""The replicas that a verb asks through their admin ports, by options."""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import click

from lookalike_cli.channels import open_channel
from lookalike_cli.replicas import parse_replica
from search_service.build import Fleet, resolved

Function = TypeVar("Function", bound=Callable[..., Any])


def replica_options(command: Function) -> Function:
    """--replica and --replicas, for `fleet_of`."""
    for option in (
        click.option(
            "--replicas",
            metavar="NAME:PORT[,ADMIN]",
            help="All addresses of a name, such as a headless Service's.",
        ),
        click.option(
            "--replica",
            "replica",
            multiple=True,
            metavar="HOST:PORT[,ADMIN]",
            help="Once a replica; its admin port is the next one unless said otherwise.",
        ),
    ):
        command = option(command)
    return command


def fleet_of(replica: tuple[str, ...], replicas: str | None) -> Fleet | None:
    """The replicas of the options; None where there are none."""
    if replica and replicas:
        raise click.UsageError("--replica: expected either it or --replicas, got both")
    try:
        if replicas:
            host, _, port = _admin_address(replicas).rpartition(":")
            # Each address by itself; their certificates are for the name.
            return Fleet(resolved(host, int(port)), partial(open_channel, name=host))
        given = list(dict.fromkeys(map(_admin_address, replica)))
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    except OSError as error:
        raise click.ClickException(
            f"--replicas: expected a name with addresses, got {error}"
        ) from error
    return Fleet(lambda: given, open_channel) if given else None


def _admin_address(text: str) -> str:
    admin = parse_replica(text, "search").admin_address
    if not admin.rpartition(":")[2].isdecimal():
        raise ValueError(f"search: expected HOST:PORT as the admin port, got {admin!r}")
    return admin
