import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from lookalike_cli import processes
from lookalike_cli.processes import NotServing

SERVICE = """
import json, os, signal, sys, time
print("a library's warning", file=sys.stderr)
addresses = {name: os.environ["SMALL_" + name.upper()] for name in
             ("address", "admin_address", "metrics_address")}
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
if os.environ.get("SMALL_MODEL") == "missing":
    print("SMALL_MODEL: expected a folder, got 'missing'", file=sys.stderr)
    sys.exit(2)
if os.environ.get("SMALL_SLOW") != "true":
    print(json.dumps({"event": "serving", **addresses}), file=sys.stderr, flush=True)
time.sleep(60)
"""


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Starts a process with the services' contract and nothing else."""
    (tmp_path / "small_service.py").write_text(SERVICE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def start(wait_seconds=30.0, log=tmp_path / "logs" / "small.log", under=(), **settings):
        return processes.start("small_service", "SMALL_", settings, log, wait_seconds, under)

    return start


def test_a_process_is_known_by_its_serving_line(small):
    with small(address="127.0.0.1:50051") as running:
        assert running.address == "127.0.0.1:50051"
        assert running.admin_address == "127.0.0.1:0"
        assert running.exit_code is None
        assert "a library's warning" in running.last_words()


def test_a_process_stops_in_order_when_asked(small):
    with small() as running:
        assert running.terminate() == 0


def test_a_process_may_be_run_by_another_command_in_its_place(small):
    with small(under=("env", "SMALL_ADDRESS=by env")) as running:
        assert running.address == "by env"
        assert running.terminate() == 0


def test_a_killed_process_says_by_what(small):
    with small() as running:
        assert running.kill() == -signal.SIGKILL


def test_a_process_left_behind_ends_with_its_block(small):
    with small() as running:
        pass

    assert running.exit_code is not None


PARENT = """
import os, signal, sys
from pathlib import Path
from lookalike_cli import processes
running = processes.start("small_service", "SMALL_", {}, Path(sys.argv[1]))
print(running.process.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(not shutil.which("setpriv"), reason="util-linux is not installed")
def test_a_process_ends_with_the_one_that_started_it_even_by_kill_9(small, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", PARENT, tmp_path / "log"], capture_output=True, check=False
    )

    assert done.returncode == -signal.SIGKILL, done.stderr
    until = time.monotonic() + 20
    while _runs(int(done.stdout)):
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_process_that_ends_early_leaves_its_last_words(small):
    with pytest.raises(NotServing, match=r"(?s)got exit code 2:.*expected a folder"):
        small(model="missing")


def test_last_words_are_of_this_process_and_not_of_the_one_before(small):
    with small() as running:
        running.terminate()
    with pytest.raises(NotServing) as error:
        small(model="missing")

    assert '"event"' not in str(error.value)


def test_a_process_that_never_serves_is_ended(small):
    with pytest.raises(NotServing, match=r"expected to serve within 1 s"):
        small(wait_seconds=1.0, slow=True)


def _runs(pid):
    try:
        return "\nState:\tZ" not in Path("/proc", str(pid), "status").read_text()
    except OSError:
        return False
