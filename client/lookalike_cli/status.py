"""`lookalike status`: the whole fleet on one screen."""

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from http.client import HTTPException
from pathlib import Path

import click

from lookalike_cli.addresses import Replica, Up, none_found
from lookalike_cli.channels import client_settings
from lookalike_cli.fleet_troubles import troubles
from lookalike_cli.printing import json_option, print_json, print_table
from lookalike_cli.replicas import State, embedder_state, find_replicas, search_state
from lookalike_cli.scrape import Pace, Samples, pace, scrape
from lookalike_cli.status_line import COLUMNS, Line, read_load, rows

SERVICES = {
    "embedder": "lookalike.embedder.v1.EmbedderService",
    "search": "lookalike.search.v1.SearchService",
}
_ASK: dict[str, Callable[[Replica], State]] = {"embedder": embedder_state, "search": search_state}


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
    """Show every replica of both services, and what is wrong with the fleet.

    \b
    lookalike status
    lookalike status --embedder embedder:50051 --search search:50061
    lookalike status --search search-0:50061 --search search-1:50061

    A name with several addresses, such as a headless Service's, is as many replicas. Without
    options it shows the running `lookalike up`, else what LOOKALIKE_CLIENT_EMBEDDER and _SEARCH
    name. A replica's admin port is the next one and /metrics on 9151 or 9161 unless said otherwise.
    The exit code is 1 unless all are ready.
    """
    lines = look(replicas(folder, embedder, search), seconds)
    said = troubles(lines)
    if as_json:
        print_json({"replicas": [asdict(line) for line in lines], "troubles": said})
    else:
        print_table("", COLUMNS, [row for line in lines for row in rows(line)])
        for sentence in said:
            click.echo(sentence)
    if not all(line.state.ready for line in lines):
        raise click.exceptions.Exit(1)


def replicas(
    folder: Path | None, embedder: Sequence[str], search: Sequence[str]
) -> list[tuple[str, Replica]]:
    given = _found(embedder, search)
    up = None if given else Up.find(folder)
    if up is not None:
        return [("embedder", up.embedder), ("search", up.search)]
    if not given and folder is None:
        settings = client_settings()
        given = _found(filter(None, [settings.embedder]), filter(None, [settings.search]))
    if not given:
        raise none_found(
            "replicas: expected a running `lookalike up DIR`, --embedder and --search, or "
            "LOOKALIKE_CLIENT_EMBEDDER and _SEARCH",
            folder,
        )
    return given


def look(which: Sequence[tuple[str, Replica]], seconds: float) -> list[Line]:
    with ThreadPoolExecutor(max(1, len(which))) as pool:
        states = list(pool.map(lambda one: _ASK[one[0]](one[1]), which))  # calls of its own first
        before = list(pool.map(_samples, which))
        begin = time.monotonic()
        time.sleep(seconds)
        after = list(pool.map(_samples, which))
        passed = time.monotonic() - begin
    return [
        Line(
            service,
            replica.address,
            state,
            _pace(service, first, second, passed),
            read_load(second),
        )
        for (service, replica), state, first, second in zip(
            which, states, before, after, strict=True
        )
    ]


def _found(embedder: Iterable[str], search: Iterable[str]) -> list[tuple[str, Replica]]:
    given = {"embedder": embedder, "search": search}
    try:
        return [
            (service, replica)
            for service, texts in given.items()
            for text in texts
            for replica in find_replicas(text, service)
        ]
    except ValueError as error:
        raise click.UsageError(f"replicas: {error}") from error


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
