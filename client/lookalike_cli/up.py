"""`lookalike up`: both services over a store folder, until Ctrl-C."""

import importlib.util
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path

import click

from lookalike_cli import processes
from lookalike_cli.addresses import UP, Replica, Up
from lookalike_cli.printing import json_option, print_json
from lookalike_cli.processes import NotServing, Running

POLL_SECONDS = 0.1
STOP_SECONDS = 30.0  # the services' own grace is 10


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--model", metavar="SPACE_ID", help="Default: what the indexes serve, or the newest.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option(
    "--insecure", is_flag=True, help="Let a --host other than loopback take calls in plain text."
)
@click.option("--free-ports", is_flag=True, help="Any free ports instead of the usual ones.")
@json_option
def command(
    folder: Path, model: str | None, host: str, insecure: bool, free_ports: bool, as_json: bool
) -> None:
    """Start an embedder and a search service over the store in FOLDER, until Ctrl-C.

    \b
    lookalike up build/demo
    lookalike up build/demo --free-ports     beside another one

    FOLDER holds models/ and indexes/, as `lookalike demo` and `lookalike index publish` make them.
    Logs go to FOLDER/logs. While it runs, `lookalike search` and `lookalike status` find it by
    themselves. Ctrl-C stops both; if one
    of them ends by itself, the other is stopped too. It is for a desk: in a cluster something else
    restarts them.
    """
    _expect_the_extras()
    if (other := Up.process(folder)) is not None:
        raise click.ClickException(
            f"{folder}: expected no `lookalike up` over it, got one that runs (process {other})"
        )
    chosen = choose_model(folder, model)
    with signals_raising_interrupt(), ExitStack() as stack:
        try:
            services = _start(folder, chosen, host, insecure, free_ports, stack)
            _say(folder, services, chosen.name, as_json)
            _watch(services)
        except NotServing as error:
            raise click.ClickException(str(error)) from error
        except KeyboardInterrupt:
            click.echo("stopping ...", err=True)


def choose_model(folder: Path, space_id: str | None = None) -> Path:
    """The model folder of `space_id`; else the newest that an index serves, else the newest."""
    models = {path.parent.name: path.parent for path in folder.glob("models/*/model.json")}
    if space_id and space_id not in models:
        have = ", ".join(sorted(models)) or "none"
        raise click.ClickException(f"model: expected one of {have}, got {space_id}")
    if not models:
        raise click.ClickException(
            f"{folder / 'models'}: expected a model, got none; `lookalike demo` makes one"
        )
    if space_id:
        return models[space_id]
    served = [models[space] for space in served_spaces(folder) if space in models]
    return max(served or models.values(), key=lambda path: (path / "model.json").stat().st_mtime)


def served_spaces(folder: Path) -> list[str]:
    """The space that each index of the store serves first."""
    spaces = map(_space_served_first, sorted(folder.glob("indexes/*/CURRENT")))
    return [space for space in spaces if space is not None]


def _space_served_first(current: Path) -> str | None:
    """None for a CURRENT that is none: the search service says what is wrong with it."""
    try:
        return str(json.loads(current.read_bytes())["serving"][0]["space_id"])
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _expect_the_extras() -> None:
    """Before a service says it in a traceback: this command itself needs neither."""
    for module in ("torch", "annoy"):
        if importlib.util.find_spec(module) is None:
            raise ModuleNotFoundError(name=module)


def _start(
    folder: Path, model: Path, host: str, insecure: bool, free_ports: bool, stack: ExitStack
) -> Sequence[Running]:
    """Both, running; the stack stops them."""
    # Nobody is sent here by a load balancer, so nobody has to be sent elsewhere first; and whoever
    # searches by hand may want to have it explained.
    usual = {
        "drain_seconds": 0,
        "reflection": True,
        "insecure": insecure,
        "log_calls_every": 1,
    }
    starting: list[Running] = []
    stack.callback(_stop, folder, starting)
    Up.begin(folder)
    logs = folder / "logs"
    ports = _addresses(host, free_ports, 50051, 9151)
    starting.append(
        processes.embedder(model, log=logs / "embedder.log", wait_seconds=600, **ports, **usual)
    )
    ports = _addresses(host, free_ports, 50061, 9161)
    starting.append(
        processes.search(
            folder, folder / "cache", log=logs / "search.log", wait_seconds=600, **ports, **usual
        )
    )
    return starting


def _addresses(host: str, free_ports: bool, port: int, metrics_port: int) -> dict[str, str]:
    ports = (0, 0, 0) if free_ports else (port, port + 1, metrics_port)
    names = ("address", "admin_address", "metrics_address")
    return {name: f"{host}:{number}" for name, number in zip(names, ports, strict=True)}


def _say(folder: Path, services: Sequence[Running], space_id: str, as_json: bool) -> None:
    embedder, search = (
        Replica(one.address, one.admin_address, one.metrics_address) for one in services
    )
    up = Up(os.getpid(), embedder, search)
    up.write(folder)
    if as_json:
        print_json({**asdict(up), "space_id": space_id})
        return
    indexes = ", ".join(path.parent.name for path in sorted(folder.glob("indexes/*/CURRENT")))
    click.echo(f"embedder  {embedder.address}  space {space_id[:12]}")
    click.echo(f"search    {search.address}  indexes: {indexes or 'none yet'}")
    click.echo(f"logs      {folder / 'logs'}")
    click.echo(
        "\nIn another terminal: lookalike search PHOTO, lookalike status, lookalike explain ID. "
        "Ctrl-C stops both."
    )


def _watch(services: Sequence[Running]) -> None:
    """Returns never: NotServing when one ends, KeyboardInterrupt by a signal."""
    while True:
        for one in services:
            if one.exit_code is not None:
                raise NotServing(
                    f"{one.name} ended with exit code {one.exit_code}:\n{one.last_words()}"
                )
        time.sleep(POLL_SECONDS)


def _stop(folder: Path, services: Sequence[Running]) -> None:
    (folder / UP).unlink(missing_ok=True)
    alive = [one for one in services if one.exit_code is None]
    for one in alive:
        one.process.terminate()
    for one in alive:
        try:
            one.process.wait(STOP_SECONDS)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):  # a second Ctrl-C is meant
            one.kill()


@contextmanager
def signals_raising_interrupt() -> Iterator[None]:
    """A closed terminal and a polite kill stop the services as Ctrl-C does."""
    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, signal.default_int_handler) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
