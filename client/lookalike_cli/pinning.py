"""`lookalike index pin | unpin`: replicas that stay on a generation."""

from collections.abc import Callable
from pathlib import Path

import click
import grpc
from lookalike.search.v1 import admin_pb2
from lookalike.search.v1.admin_pb2_grpc import IndexAdminServiceStub as Admin

from lookalike_cli.fleets import fleet_of, replica_options
from lookalike_cli.printing import json_option, print_json
from lookalike_cli.stores import saying_what_is_wrong, store_option
from search_service.build import Fleet, listing
from search_service.manifest import Manifest
from search_service.store import Store, StoreError

TIMEOUT_SECONDS = 600.0  # taking a generation in may take minutes


@click.command("pin")
@click.argument("name")
@click.argument("number", type=int)
@store_option
@replica_options
@click.option("--reason", required=True, help="For whoever wonders why it stays.")
@json_option
@saying_what_is_wrong
def pin_command(
    name: str,
    number: int,
    store: Path,
    replica: tuple[str, ...],
    replicas: str | None,
    reason: str,
    as_json: bool,
) -> None:
    """Keep replicas on generation NUMBER of index NAME, whatever CURRENT says of its space.

    \b
    lookalike index pin dresses 12 --store store/ \\
        --replica search-0:50061 --reason "to compare with 13"

    A replica takes the generation in first, as any other, and is not pinned if it refuses it. The
    pin lives as long as the replica's cache folder: it survives a restart, not a new pod.
    """
    manifest, sha256 = _numbered(Store(store), name, number)
    asked = admin_pb2.PinRequest(
        index=name,
        space_id=manifest.space_id,
        generation=number,
        manifest_sha256=sha256,
        reason=reason,
    )

    def pin(admin: Admin) -> str:
        answer = admin.Pin(asked, timeout=TIMEOUT_SECONDS)
        refused = answer.refused
        return f"{refused.reason}: {refused.message}" if answer.HasField("refused") else ""

    _ask_all(fleet_of(replica, replicas), pin, f"{name} is pinned to {number}", as_json)


@click.command("unpin")
@click.argument("name")
@replica_options
@json_option
@saying_what_is_wrong
def unpin_command(name: str, replica: tuple[str, ...], replicas: str | None, as_json: bool) -> None:
    """Let replicas follow CURRENT of index NAME again, from their next poll on."""
    asked = admin_pb2.UnpinRequest(index=name)

    def unpin(admin: Admin) -> str:
        admin.Unpin(asked, timeout=TIMEOUT_SECONDS)
        return ""

    _ask_all(fleet_of(replica, replicas), unpin, f"{name} follows CURRENT", as_json)


def _ask_all(fleet: Fleet | None, ask: Callable[[Admin], str], words: str, as_json: bool) -> None:
    """Asks each replica; what it has against it costs the exit code."""
    if fleet is None:
        raise click.UsageError("replicas: expected --replica or --replicas, got neither")
    with fleet:
        troubles = {address: _asked(fleet.admin(address), ask) for address in fleet.addresses()}
    if as_json:
        print_json(
            {"replicas": [{"address": at, "trouble": said} for at, said in troubles.items()]}
        )
    for address, trouble in troubles.items() if not as_json else ():
        click.echo(f"{address}: {trouble or words}")
    if any(troubles.values()):
        raise click.exceptions.Exit(1)


def _asked(admin: Admin, ask: Callable[[Admin], str]) -> str:
    try:
        return ask(admin)
    except grpc.RpcError as error:
        return f"{error.code().name}: {error.details()}"


def _numbered(store: Store, name: str, number: int) -> tuple[Manifest, str]:
    for each in listing(store, name):
        if each.number == number and each.manifest is not None:
            return each.manifest, each.sha256
    raise StoreError(f"{name}: expected a whole generation {number}, got none in {store.root}")
