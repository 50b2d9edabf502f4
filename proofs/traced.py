"""Work in a child process under strace: what it asked the kernel for, and kill -9 at any of it."""

import os
import re
import subprocess
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL

_CALL = re.compile(r"^(\w+)\(")
_PATIENCE_SECONDS = 120


@dataclass(frozen=True)
class Place:
    """The nth call of a system call's name."""

    call: str
    number: int


def places(work: Callable[[], object], log: Path) -> list[Place]:
    """Every system call of the work, in order."""
    if trace(work, log, []) != 0:
        raise RuntimeError("expected the work to end well where nothing kills it")
    counts: Counter[str] = Counter()
    found = []
    for line in log.read_text(errors="replace").splitlines():
        if match := _CALL.match(line):
            counts[match[1]] += 1
            found.append(Place(match[1], counts[match[1]]))
    # The first is the wait for the tracer, the last the end of the process.
    return [each for each in found[1:] if each.call != "exit_group"]


def killed_at(work: Callable[[], object], place: Place, log: Path) -> bool:
    """Does the work and kills it where it enters a system call; False if it ended before."""
    inject = f"inject={place.call}:signal=KILL:when={place.number}"
    return trace(work, log, ["-e", f"trace={place.call}", "-e", inject]) == -SIGKILL


def killed_after(work: Callable[[], object], seconds: float) -> bool:
    """Does the work and kills it some time after its begin; False if it ended before."""
    pid = _fork(work)
    time.sleep(seconds)
    os.kill(pid, SIGKILL)
    return _exit_code(pid) == -SIGKILL


def trace(work: Callable[[], object], log: Path, options: Sequence[str]) -> int:
    """Does the work in a child under strace; its exit code, negative for a signal.

    Only what the work does is traced: the child waits for strace, Python has long been started.
    """
    reader, writer = os.pipe()
    pid = _fork(work, reader)
    os.close(reader)
    command = ["strace", "-qq", "-o", str(log), *options, "-p", str(pid)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as tracer:
        for _ in _ticks():
            if _is_traced(pid):
                break
            if tracer.poll() is not None and tracer.stderr:
                raise RuntimeError(f"strace: got {tracer.stderr.read().decode()}")
        os.write(writer, b"x")
        os.close(writer)
        return _exit_code(pid)


def _fork(work: Callable[[], object], reader: int | None = None) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        if reader is not None:
            os.read(reader, 1)
        work()
        os._exit(0)
    except BaseException:  # noqa: BLE001
        traceback.print_exc()
        os._exit(1)


def _is_traced(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    return "TracerPid:\t0\n" not in status


def _ticks() -> Iterator[None]:
    until = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < until:
        yield
        time.sleep(0.001)
    raise TimeoutError("strace: expected it to attach")


def _exit_code(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
