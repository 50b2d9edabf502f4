"""A service as a child process: started by the environment it is configured with, known by its log.

with processes.search(store, tmp_path / "cache") as running:
    Client(search=running.address)
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

LAST_WORDS = 12  # lines
POLL_SECONDS = 0.02


class NotServing(Exception):
    """The process ended, or was not ready in time; holds its last words."""


@dataclass(frozen=True)
class Running:
    """A service that takes calls. log: where its lines go, which outlive it."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    address: str
    admin_address: str
    metrics_address: str

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative for the signal that ended it."""
        return self.process.poll()

    def last_words(self) -> str:
        return last_words(self.log)

    def terminate(self, timeout_seconds: float = 60.0) -> int:
        """Asks it to finish (SIGTERM) and waits; its exit code."""
        self.process.terminate()
        return self.process.wait(timeout_seconds)

    def kill(self) -> int:
        """kill -9."""
        self.process.kill()
        return self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.exit_code is None:
            self.kill()


def embedder(
    model: Path, *, log: Path | None = None, wait_seconds: float = 120.0, **settings: object
) -> Running:
    """An embedder with the model of a folder models/<space_id>.

    settings: LOOKALIKE_EMBEDDER_* in lower case, as `threads=4`; ports are free ones unless given.
    """
    return start(
        "embedder_service", "LOOKALIKE_EMBEDDER_", {"model": model, **settings}, log, wait_seconds
    )


def search(
    store: Path,
    cache: Path,
    *,
    log: Path | None = None,
    wait_seconds: float = 120.0,
    **settings: object,
) -> Running:
    """A search service over a store folder, with a cache folder of its own.

    settings: LOOKALIKE_SEARCH_* in lower case, as `poll_seconds=0.1`.
    """
    return start(
        "search_service",
        "LOOKALIKE_SEARCH_",
        {"store": store, "cache": cache, **settings},
        log,
        wait_seconds,
    )


def start(
    module: str,
    prefix: str,
    settings: Mapping[str, object],
    log: Path | None = None,
    wait_seconds: float = 120.0,
    under: Sequence[str] = (),
) -> Running:
    """`python -m module` with its settings; returns when it takes calls, or raises NotServing.

    under: a command that runs the one behind it in its place, as `ip netns exec NAME` does.
    Call it from a thread that lives as long as the service should: the service ends with it.
    """
    log = log or _log_of_its_own(module)
    log.parent.mkdir(parents=True, exist_ok=True)
    free_ports = dict.fromkeys(("address", "admin_address", "metrics_address"), "127.0.0.1:0")
    given = {
        prefix + name.upper(): _text(value) for name, value in {**free_ports, **settings}.items()
    }
    with log.open("ab") as lines:
        begin = lines.tell()
        process = subprocess.Popen(
            [*_ending_with_us(), *under, sys.executable, "-P", "-m", module],
            env={**os.environ, **given},
            stdin=subprocess.DEVNULL,
            stdout=lines,
            stderr=lines,
            start_new_session=True,  # Ctrl-C in a terminal is for us, who then stop it in order
        )
    try:
        serving = _wait_until_serving(module, process, log, begin, wait_seconds)
    except BaseException:
        process.kill()
        process.wait()
        raise
    return Running(
        module,
        process,
        log,
        serving["address"],
        serving["admin_address"],
        serving["metrics_address"],
    )


def last_words(log: Path, begin: int = 0) -> str:
    """The last lines of a log, from byte `begin`."""
    lines = log.read_bytes()[begin:].decode("utf-8", "replace").splitlines()
    return "\n".join(lines[-LAST_WORDS:])


def _ending_with_us() -> list[str]:
    """Before a command: has the kernel end it when we end, even by kill -9. Linux alone can.

    Asked for by util-linux after the fork; our own code must not run there beside gRPC's threads.
    """
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM"] if setpriv and sys.platform == "linux" else []


def _wait_until_serving(
    module: str, process: subprocess.Popen[bytes], log: Path, begin: int, wait_seconds: float
) -> dict[str, Any]:
    until = time.monotonic() + wait_seconds
    with log.open("rb") as lines:
        lines.seek(begin)
        rest = b""
        while time.monotonic() < until:
            ended = process.poll() is not None  # before reading: what it wrote last is then read
            *complete, rest = (rest + lines.read()).split(b"\n")
            for line in complete:
                if (entry := _entry(line)).get("event") == "serving":
                    return entry
            if ended:
                ending = f"{_end(process)}:\n{last_words(log, begin)}"
                raise NotServing(f"{module}: expected to serve, got {ending}")
            time.sleep(POLL_SECONDS)
    said = last_words(log, begin)
    raise NotServing(f"{module}: expected to serve within {wait_seconds:g} s, got:\n{said}")


def _entry(line: bytes) -> dict[str, Any]:
    """A line of the log; {} for what is no JSON object, such as a library's warning."""
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}


def _end(process: subprocess.Popen[bytes]) -> str:
    code = process.returncode
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return ",".join(map(str, value))
    return str(value)


def _log_of_its_own(module: str) -> Path:
    descriptor, name = tempfile.mkstemp(prefix=f"{module}-", suffix=".log")
    os.close(descriptor)
    return Path(name)
