"""The replicas that a verb asks through their admin ports, by options."""

from collections.abc import Callable
from typing import Any, TypeVar

import click
import grpc

from lookalike_cli.addresses import Replica
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
    """The replicas of the options, by the addresses of their calls; None where there are none."""
    if replica and replicas:
        raise click.UsageError("--replica: expected either it or --replicas, got both")
    try:
        if replicas:
            return _behind(_parse(replicas))
        admins = {one.address: one.admin_address for one in map(_parse, replica)}
    except ValueError as error:
        option = "--replicas" if replicas else "--replica"
        raise click.UsageError(f"{option}: {error}") from error
    except OSError as error:
        raise click.ClickException(
            f"--replicas: expected a name with addresses, got {replicas} ({error.strerror})"
        ) from error
    names = list(admins)
    return Fleet(lambda: names, lambda name: open_channel(admins[name])) if names else None


def _behind(replica: Replica) -> Fleet:
    """Each address of a name by itself; their certificates are for the name."""
    host, _, admin_port = replica.admin_address.rpartition(":")

    def open_admin(address: str) -> grpc.Channel:
        return open_channel(f"{address.rpartition(':')[0]}:{admin_port}", host)

    return Fleet(resolved(host, int(replica.address.rpartition(":")[2])), open_admin)


def _parse(text: str) -> Replica:
    replica = parse_replica(text, "search")
    if not replica.admin_address.rpartition(":")[2].isdecimal():
        raise ValueError(f"expected HOST:PORT as the admin port, got {replica.admin_address!r}")
    return replica
