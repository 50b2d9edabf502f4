"""Work on a generation's files in processes of their own.

What crashes or hangs one of them crashes nobody. And what writes hundreds of megabytes holds up no
answer: in the service itself each piece would wait for the interpreter and make others wait. They
are niced and rest; threads of the service are never niced, for one that has the interpreter and
gets no core keeps it from all others.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_NICENESS = 10
_REST_EVERY_SECONDS = 0.01  # of its CPU time


class RefusedError(Exception):
    """Why a generation does not come into service; `passing` if the reason may go away."""

    def __init__(self, reason: str, message: str, *, passing: bool = False) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.passing = passing


def run_apart(
    work: str,
    *arguments: str,
    seconds: float,
    cpu_share: float = 1.0,
    passing: bool = False,
) -> None:
    """`python -m search_service.{work} CPU_SHARE ...`, which may take so many seconds.

    cpu_share: how much of a core it takes at most.
    passing: whether it may pass that the process crashes or hangs. Damaged files can do that to one
    that looks into them, but not to one that copies them.

    Raises RefusedError: what `refuse` wrote, or how the process ended otherwise.
    """
    command = [sys.executable, "-m", f"search_service.{work}", f"{cpu_share:g}", *arguments]
    # What a crashing library writes need not be UTF-8.
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, errors="replace"
    ) as child:
        give_way(child.pid)
        try:
            said, complained = child.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            child.kill()
            raise RefusedError(
                f"{work}_hung", f"files: expected a {work} within {seconds:.0f} s", passing=passing
            ) from None
    if child.returncode == 0:
        return
    try:
        refused = RefusedError(**json.loads(said))
    except (ValueError, TypeError):
        last = complained.strip().splitlines()[-1:] or ["nothing"]
        refused = RefusedError(
            f"{work}_crashed",
            f"files: expected a {work} to end, got exit {child.returncode}: {last[0]}",
            # What a file does ends in another signal. This one the kernel sends where memory is
            # short, or a person; and an interpreter that cannot begin ends with a number.
            passing=passing or child.returncode == -signal.SIGKILL or child.returncode > 0,
        )
    raise refused from None


def give_way(task: int) -> None:
    """A process or a thread, by its number, yields to others; nothing if it has ended."""
    with suppress(ProcessLookupError):
        # One that was started with a higher niceness may not take a lower one.
        niceness = max(_NICENESS, os.getpriority(os.PRIO_PROCESS, task))
        os.setpriority(os.PRIO_PROCESS, task, niceness)


@contextmanager
def resting(cpu_share: float) -> Iterator[None]:
    """In such a process: the work in it takes so much of a core at most, by a rest after each bit.

    Niceness yields cores, but not what they share: at full speed a copy of 700 MB takes the caches
    and the memory from the queries beside it.
    """
    rested_at = time.process_time()

    def rest(_signal: int, _frame: object) -> None:
        nonlocal rested_at
        # Another signal may come within these lines, and rest as well: then nothing is left to do.
        worked = max(0.0, time.process_time() - rested_at)
        time.sleep(worked / cpu_share - worked)
        rested_at = time.process_time()

    if cpu_share < 1:
        signal.signal(signal.SIGPROF, rest)
        signal.siginterrupt(signal.SIGPROF, False)  # libraries need not know of it
        signal.setitimer(signal.ITIMER_PROF, _REST_EVERY_SECONDS, _REST_EVERY_SECONDS)
    try:
        yield
    finally:
        # At the interpreter's end the signal would find no handler, and end the process.
        signal.setitimer(signal.ITIMER_PROF, 0)


def refuse(reason: str, message: str, *, passing: bool = False) -> int:
    """In such a process: says what is wrong. The exit code."""
    said = {"reason": reason, "message": message, "passing": passing}
    sys.stdout.write(json.dumps(said) + "\n")
    return 1
