"""Where the services are: by flags, by LOOKALIKE_CLIENT_*, or as `lookalike up` wrote it down."""

import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import click
from lookalike_client import Client

from lookalike_cli.channels import client_settings

UP = "up.json"
Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Replica:
    """One process of a service, as HOST:PORT each.

    name: what its certificate is for, where that is not the addresses' host.
    """

    address: str
    admin_address: str
    metrics_address: str
    name: str = ""

    @property
    def addresses(self) -> tuple[str, str, str]:
        return self.address, self.admin_address, self.metrics_address


@dataclass(frozen=True)
class Up:
    """What a running `lookalike up` wrote into its folder; while it starts, its process alone."""

    pid: int
    embedder: Replica
    search: Replica

    def write(self, folder: Path) -> None:
        """Into the folder, and where later commands look that are given none."""
        _write(folder, asdict(self))

    @classmethod
    def begin(cls, folder: Path) -> None:
        """This process starts the services of the folder: they have no addresses yet."""
        _write(folder, {"pid": os.getpid()})

    @classmethod
    def process(cls, folder: Path) -> int | None:
        """The process of the one over the folder, whether it starts or serves."""
        return _told(folder).get("pid")

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """None where nothing serves: no file, one whose process is gone, or one that starts."""
        told = _told(folder)
        try:
            return cls(told["pid"], Replica(**told["embedder"]), Replica(**told["search"]))
        except (KeyError, TypeError):
            return None

    @classmethod
    def find(cls, folder: Path | None = None) -> Self | None:
        """In the folder given, else here, else where `lookalike up` was last started."""
        found = cls.find_folder(folder)
        return None if found is None else cls.read(found)

    @classmethod
    def find_folder(cls, folder: Path | None = None) -> Path | None:
        """The folder of what `find` finds."""
        return next(filter(cls.read, _places(folder)), None)


def none_found(expected: str, folder: Path | None) -> click.ClickException:
    """What to say where `Up.find` found nothing, and nothing else names the services either."""
    starting = next(filter(Up.process, _places(folder)), None)
    got = "none" if starting is None else f"one that still starts: {starting / 'logs'} says how far"
    return click.ClickException(f"{expected}, got {got}")


def connection_options(command: Function) -> Function:
    """--embedder, --search and --up, for `connect`."""
    for option in (
        click.option("--up", "folder", type=click.Path(path_type=Path), help=_UP_HELP),
        click.option("--search", metavar="HOST:PORT", help="The search service."),
        click.option("--embedder", metavar="HOST:PORT", help="The embedder service."),
    ):
        command = option(command)
    return command


def connect(
    embedder: str | None,
    search: str | None,
    folder: Path | None,
    *,
    needed: Sequence[str] = ("embedder", "search"),
) -> Client:
    up, settings = Up.find(folder), client_settings()
    found_embedder = embedder or settings.embedder
    found_search = search or settings.search
    if up is not None:
        found_embedder = found_embedder or up.embedder.address
        found_search = found_search or up.search.address
    found = {"embedder": found_embedder or "", "search": found_search or ""}
    if missing := [name for name in needed if not found[name]]:
        options = " and ".join(f"--{name}" for name in missing)
        raise none_found(f"services: expected a running `lookalike up DIR`, or {options}", folder)
    given = {**asdict(settings), **found, "deadline_seconds": 30.0, "bulk_deadline_seconds": 120.0}
    try:
        return Client(**given)
    except ValueError as error:
        raise click.ClickException(str(error)) from error


def _write(folder: Path, told: dict[str, Any]) -> None:
    (folder / UP).write_text(json.dumps(told, indent=2) + "\n")
    with suppress(OSError):  # a home that cannot be written to only costs the convenience
        last = _last_folder()
        last.parent.mkdir(parents=True, exist_ok=True)
        last.write_text(str(folder.resolve()))


def _told(folder: Path) -> dict[str, Any]:
    """What a process that runs wrote there; {} where none did."""
    try:
        told: dict[str, Any] = json.loads((folder / UP).read_text())
        return told if _runs(told["pid"]) else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _places(folder: Path | None) -> list[Path]:
    last = _last_used()
    here = [Path(), last] if last else [Path()]
    return here if folder is None else [folder]


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:  # somebody else's
        return True
    except ProcessLookupError:
        return False
    return True


def _last_used() -> Path | None:
    try:
        return Path(_last_folder().read_text())
    except OSError:
        return None


def _last_folder() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state, "lookalike", "up")


_UP_HELP = "The folder of a running `lookalike up`. Default: here, or where it was last started."
