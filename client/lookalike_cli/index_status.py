"""`lookalike index status`: one index on one screen, in its store and on its replicas."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click
from google.protobuf.timestamp_pb2 import Timestamp
from lookalike.search.v1 import admin_pb2 as pb

from lookalike_cli.changes import DUE_SHARE
from lookalike_cli.fleets import fleet_of, replica_options
from lookalike_cli.generations import COLUMNS, listed_json, row
from lookalike_cli.printing import age, json_option, print_json, print_table
from lookalike_cli.stores import saying_what_is_wrong, store_option
from search_service.build import Listed, Statuses, held_by, listing
from search_service.store import Store

GENERATIONS_SHOWN = 10
_REPLICA_COLUMNS = ("replica", "ready", "no ", "space", "for ", "queries ", "live recall ", "")


@click.command("status")
@click.argument("name")
@store_option
@replica_options
@json_option
@saying_what_is_wrong
def status_command(
    name: str, store: Path, replica: tuple[str, ...], replicas: str | None, as_json: bool
) -> None:
    """Show index NAME: its generations, what CURRENT says, and what replicas make of it.

    \b
    lookalike index status dresses --store store/
    lookalike index status dresses --store store/ --replicas search-headless:50061
    """
    opened = Store(store)
    found, held, statuses = (
        listing(opened, name),
        held_by(opened, name),
        _statuses(replica, replicas),
    )
    if as_json:
        print_json(
            {
                "index": name,
                "hold": held and {"reason": held.reason, "since": held.since},
                "generations": [
                    {**listed_json(name, each), "current": each.is_current} for each in found
                ],
                "replicas": [_replica_json(name, *each) for each in statuses.items()],
            }
        )
        return
    _print_store(name, found)
    if held:
        click.echo(f"on hold since {held.since}: {held.reason}")
    if statuses:
        rows = [line for each in statuses.items() for line in _replica_rows(name, *each)]
        print_table("", _REPLICA_COLUMNS, rows)
    for address, status in statuses.items():
        for refused in _refused(name, status):
            click.echo(
                f"{address} refused {refused.generation}, {age(_moment(refused.refuse_time))} ago: "
                f"{refused.reason}: {refused.message}"
            )


def _statuses(replica: tuple[str, ...], replicas: str | None) -> Statuses:
    fleet = fleet_of(replica, replicas)
    if fleet is None:
        return {}
    with fleet:
        return fleet.statuses()


def _print_store(name: str, found: list[Listed]) -> None:
    current = [each for each in found if each.is_current]
    numbers = " and ".join(str(each.number) for each in current) or "nothing that can be read"
    click.echo(f"{name}: CURRENT is {numbers}")
    older = [each for each in found[GENERATIONS_SHOWN:] if not each.is_current]
    print_table("", COLUMNS, [row(each) for each in found if each not in older])
    if older:
        click.echo(f"and {len(older)} older")
    for each in current:
        if each.manifest and each.manifest.changed_share > DUE_SHARE:
            share = f"{each.manifest.changed_share:.0%}"
            click.echo(f"{share} of the base changed: `lookalike index compact {name}` is due")


def _replica_rows(
    name: str, address: str, status: pb.GetStatusResponse | None
) -> Iterator[tuple[object, ...]]:
    """One a generation; the replica itself is named on the first."""
    if status is None:
        yield address, "", "", "", "", "", "", "does not answer"
        return
    ready = "yes" if status.ready else "no"
    loaded = [each for each in status.loaded if each.index == name]
    pins = {each.space_id: each for each in status.pinned if each.index == name}
    if not loaded:
        yield address, ready, "", "", "", "", "", "serves nothing of it"
    for at, each in enumerate(loaded):
        recall = f"{each.live_recall:.3f} of {each.live_recall_samples:,}"
        yield (
            address if at == 0 else "",
            ready if at == 0 else "",
            f"{each.generation}{'' if each.is_current else '*'}",
            each.space_id[:8],
            age(_moment(each.promote_time)),
            f"{each.queries:,}",
            recall if each.live_recall_samples else "",
            _notes(each, pins.get(each.space_id)),
        )


def _notes(loaded: pb.LoadedGeneration, pin: pb.PinnedGeneration | None) -> str:
    notes = []
    if pin:
        since = f"{_moment(pin.pin_time):%Y-%m-%d %H:%M}Z"
        notes.append(f"pinned to {pin.generation} since {since}: {pin.reason}")
    if loaded.internal_errors:
        notes.append(f"{loaded.internal_errors:,} calls ended INTERNAL")
    if not loaded.is_current:
        notes.append("* CURRENT names another")
    return "; ".join(notes)


def _refused(name: str, status: pb.GetStatusResponse | None) -> list[pb.RefusedGeneration]:
    return [each for each in status.refused if each.index == name][:3] if status else []


def _replica_json(
    name: str, address: str, status: pb.GetStatusResponse | None
) -> dict[str, object]:
    if status is None:
        return {"address": address, "answers": False}
    return {
        "address": address,
        "answers": True,
        "ready": status.ready,
        "serving": [
            {
                "generation": each.generation,
                "manifest_sha256": each.manifest_sha256,
                "space_id": each.space_id,
                "current": each.is_current,
                "promoted": _moment(each.promote_time),
                "queries": each.queries,
                "internal_errors": each.internal_errors,
                "live_recall": each.live_recall if each.live_recall_samples else None,
                "live_recall_samples": each.live_recall_samples,
            }
            for each in status.loaded
            if each.index == name
        ],
        "pins": [
            {
                "generation": each.generation,
                "space_id": each.space_id,
                "reason": each.reason,
                "since": _moment(each.pin_time),
            }
            for each in status.pinned
            if each.index == name
        ],
        "refused": [
            {
                "generation": each.generation,
                "reason": each.reason,
                "message": each.message,
                "time": _moment(each.refuse_time),
            }
            for each in _refused(name, status)
        ],
    }


def _moment(stamp: Timestamp) -> datetime:
    return stamp.ToDatetime(UTC)
