"""A LitServe server as a child, and callers of it: what embed_callers.py is for ours."""

from __future__ import annotations

import base64
import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from benchmarks.embed_callers import Asked

PYTHON = Path("build/litserve-venv/bin/python")
_WAIT_SECONDS = 60.0


@contextmanager
def litserve(workers: int, *how: str) -> Iterator[tuple[int, int]]:
    """Its port, and its process id, the root of its process tree. how: "blind"."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    script = Path(__file__).with_name("litserve_server.py")
    process = subprocess.Popen(
        [PYTHON, script, str(port), str(workers), *how],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _wait_until_serving(port)
        yield port, process.pid
    finally:
        with suppress(ProcessLookupError):  # its workers outlive it otherwise
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def awake(pid: int) -> Iterator[None]:
    """A server that is stopped but for this long: idle, each worker takes an eighth of a core."""
    os.killpg(pid, signal.SIGCONT)
    try:
        yield
    finally:
        os.killpg(pid, signal.SIGSTOP)


def ask(port: int, photos: Sequence[bytes], seconds: float, at_once: int) -> Asked:
    """Every caller keeps its connection, and sends its next call when it has its answer."""
    bodies = [json.dumps({"image": base64.b64encode(photo).decode()}) for photo in photos]

    def calls(number: int) -> list[float]:
        done: list[float] = []
        with closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
            while (began := time.perf_counter()) < end:
                _post(connection, bodies[(number + len(done)) % len(bodies)])
                done.append(time.perf_counter() - began)
        return done

    with ThreadPoolExecutor(at_once) as pool:
        cpu = time.process_time()
        began = time.perf_counter()
        end = began + seconds
        done = [each for one in pool.map(calls, range(at_once)) for each in one]
        took = time.perf_counter() - began
        return Asked(len(done) / took, done, time.process_time() - cpu)


def _post(connection: http.client.HTTPConnection, body: str) -> None:
    connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
    reply = connection.getresponse()
    content = reply.read()
    if reply.status != 200:
        raise RuntimeError(f"litserve: expected an answer, got {reply.status} {content[:200]!r}")
    base64.b64decode(json.loads(content)["vector"])


def _wait_until_serving(port: int) -> None:
    until = time.monotonic() + _WAIT_SECONDS
    while time.monotonic() < until:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        with closing(connection), suppress(OSError):
            connection.request("GET", "/health")
            if connection.getresponse().status == 200:
                return
        time.sleep(0.1)
    raise RuntimeError(f"litserve: expected it to serve within {_WAIT_SECONDS:g} s")
