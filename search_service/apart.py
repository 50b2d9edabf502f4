"""Work on a generation's files in processes of their own.

What crashes or hangs one of them crashes nobody. And what writes hundreds of megabytes holds up no
answer: in the service itself each piece would wait for the interpreter and make others wait.
"""

import json
import signal
import subprocess
import sys

_SECONDS = 300


class RefusedError(Exception):
    """Why a generation does not come into service; `passing` if the reason may go away."""

    def __init__(self, reason: str, message: str, *, passing: bool = False) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.passing = passing


def run_apart(work: str, *arguments: str, seconds: float = _SECONDS, passing: bool = False) -> None:
    """`python -m search_service.{work} ...`, which may take so many seconds.

    passing: whether it may pass that the process crashes or hangs. Damaged files can do that to one
    that looks into them, but not to one that copies them.

    Raises RefusedError: what `refuse` wrote, or how the process ended otherwise.
    """
    command = [sys.executable, "-m", f"search_service.{work}", *arguments]
    try:
        # What a crashing library writes need not be UTF-8.
        child = subprocess.run(
            command, capture_output=True, errors="replace", timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        raise RefusedError(
            f"{work}_hung", f"files: expected a {work} within {seconds:.0f} s", passing=passing
        ) from None
    if child.returncode == 0:
        return
    try:
        refused = RefusedError(**json.loads(child.stdout))
    except (ValueError, TypeError):
        last = child.stderr.strip().splitlines()[-1:] or ["nothing"]
        refused = RefusedError(
            f"{work}_crashed",
            f"files: expected a {work} to end, got exit {child.returncode}: {last[0]}",
            # No file does that: the kernel does where memory is short, or a person.
            passing=passing or child.returncode == -signal.SIGKILL,
        )
    raise refused from None


def refuse(reason: str, message: str, *, passing: bool = False) -> int:
    """In such a process: says what is wrong. The exit code."""
    said = {"reason": reason, "message": message, "passing": passing}
    sys.stdout.write(json.dumps(said) + "\n")
    return 1
