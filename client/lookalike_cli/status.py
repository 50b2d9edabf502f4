"""`lookalike status`: every replica on one screen."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from http.client import HTTPException
from pathlib import Path

import click

from lookalike_cli.addresses import Replica, Up
from lookalike_cli.printing import age, json_option, print_json, print_table
from lookalike_cli.replicas import Serving, State, embedder_state, parse_replica, search_state
from lookalike_cli.scrape import Pace, Samples, pace, scrape

SERVICES = {
    "embedder": "lookalike.embedder.v1.EmbedderService",
    "search": "lookalike.search.v1.SearchService",
}
_ASK: dict[str, Callable[[Replica], State]] = {"embedder": embedder_state, "search": search_state}
_COLUMNS = ("", "address", "ready", "index", "gen ", "age ", "space", "calls/s ", "p99 ms ")


@dataclass(frozen=True)
class Line:
    """One replica. pace: None where /metrics does not answer."""

    service: str
    address: str
    state: State
    pace: Pace | None


@click.command()
@click.option("--up", "folder", type=click.Path(path_type=Path), help="A running `lookalike up`.")
@click.option("--embedder", multiple=True, metavar="HOST:PORT[,ADMIN[,METRICS]]")
@click.option("--search", multiple=True, metavar="HOST:PORT[,ADMIN[,METRICS]]")
@click.option("--seconds", default=1.0, show_default=True, help="How long to watch /metrics.")
@json_option
def command(
    folder: Path | None,
    embedder: tuple[str, ...],
    search: tuple[str, ...],
    seconds: float,
    as_json: bool,
) -> None:
    """Show what every replica serves, how fast, and what it refused last.

    \b
    lookalike status
    lookalike status --search search-0:50061 --search search-1:50061

    Without options it shows the running `lookalike up`. Give --embedder and --search once a
    replica; its admin port is the next one and /metrics on 9151 or 9161 unless said otherwise.
    The exit code is 1 unless all are ready.
    """
    lines = look(replicas(folder, embedder, search), seconds)
    if as_json:
        print_json({"replicas": [asdict(line) for line in lines]})
    else:
        print_table("", _COLUMNS, [row for line in lines for row in _rows(line)])
        _print_troubles(lines)
    if not all(line.state.ready for line in lines):
        raise click.exceptions.Exit(1)


def replicas(
    folder: Path | None, embedder: Sequence[str], search: Sequence[str]
) -> list[tuple[str, Replica]]:
    try:
        given = [
            *(("embedder", parse_replica(text, "embedder")) for text in embedder),
            *(("search", parse_replica(text, "search")) for text in search),
        ]
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if given:
        return given
    up = Up.find(folder)
    if up is None:
        raise click.ClickException(
            "replicas: expected a running `lookalike up DIR`, or --embedder and --search, got none"
        )
    return [("embedder", up.embedder), ("search", up.search)]


def look(which: Sequence[tuple[str, Replica]], seconds: float) -> list[Line]:
    with ThreadPoolExecutor(max(1, len(which))) as pool:
        states = list(pool.map(lambda one: _ASK[one[0]](one[1]), which))  # calls of its own first
        before = list(pool.map(_samples, which))
        begin = time.monotonic()
        time.sleep(seconds)
        after = list(pool.map(_samples, which))
        passed = time.monotonic() - begin
    return [
        Line(service, replica.address, state, _pace(service, first, second, passed))
        for (service, replica), state, first, second in zip(
            which, states, before, after, strict=True
        )
    ]


def _samples(which: tuple[str, Replica]) -> Samples | None:
    try:
        return scrape(which[1].metrics_address)
    except (OSError, HTTPException):  # nobody there, or nobody who speaks HTTP
        return None


def _pace(
    service: str, before: Samples | None, after: Samples | None, seconds: float
) -> Pace | None:
    if before is None or after is None:
        return None
    return pace(before, after, seconds, SERVICES[service])


def _rows(line: Line) -> list[tuple[str, ...]]:
    """One a generation; the replica itself is named on the first."""
    speed, slow = "", ""
    if line.pace:
        speed = f"{line.pace.calls_per_second:.1f}"
        slow = "" if line.pace.p99_seconds is None else f"{line.pace.p99_seconds * 1000:.1f}"
    ready = "yes" if line.state.ready else "no"
    first, *rest = [_serving(one) for one in line.state.serving] or [("", "", "", "")]
    return [
        (line.service, line.address, ready, *first, speed, slow),
        *(("", "", "", *one, "", "") for one in rest),
    ]


def _print_troubles(lines: Sequence[Line]) -> None:
    if any(not one.is_current for line in lines for one in line.state.serving):
        click.echo("* CURRENT names another generation: it is being loaded, or was refused")
    for line in lines:
        for pin in line.state.pins:
            click.echo(f"{line.service} {line.address}: {pin}")
        if line.state.trouble:
            last = "last refused " if line.state.serving else ""
            click.echo(f"{line.service} {line.address}: {last}{line.state.trouble}")


def _serving(one: Serving) -> tuple[str, str, str, str]:
    number = f"{one.generation}{'' if one.is_current else '*'}" if one.index else ""
    return one.index, number, age(one.created) if one.created else "", one.space_id[:8]
