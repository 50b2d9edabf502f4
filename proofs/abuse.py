"""HTTP/2 by somebody who means harm: what a well-behaved caller notices of it.

python -m proofs.abuse [--seconds N] [--rate N] [--attacks NAME,...]

A search service over a small index, a caller with `rate` calls a second at fixed times, and each
attack in turn (proofs/attacks.py), as fast as one process of it can. Share is the calls that were
answered within a second, p99 counts from when a call was due; none is tried again.

Attacker, caller and service share the machine, so each attack is made twice: first on a sink
(proofs/sink.py), which says what the attacker's own work costs the caller, then on the service.
Its p99 is compared with both, with the sink's and with that of the pauses in which nobody attacks.
The first second of an attack, while gRPC makes threads for it, is told apart.
"""

import argparse
import os
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from lookalike.search.v1 import search_pb2
from lookalike_cli.processes import Running

from benchmarks.load import Load
from benchmarks.record import record, table
from proofs.attacks import ATTACKS, attack
from proofs.catalogue import build_of, draw
from proofs.replica import Replica, by_vector, replica, workplace
from proofs.sink import sink
from search_service.build import publish
from search_service.store import Store

INDEX = "dresses"
SECONDS, RATE = 20.0, 100.0
FIRST_SECONDS, IN_TIME_SECONDS = 1.0, 1.0
LEAST_SHARE, MOST_P99 = 0.9, 2.0
DESCRIPTORS = 8_192


@dataclass(frozen=True)
class Watched:
    """The share of a caller's calls that were answered in time, and how late the last 1 % were."""

    share: float
    p99_ms: float


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each attack")
    parser.add_argument("--rate", type=float, default=RATE, help="calls a second of the caller")
    parser.add_argument("--attacks", default=",".join(ATTACKS))
    given = parser.parse_args(arguments)
    names = tuple(given.attacks.split(","))
    figures = measure(names, given.seconds, given.rate)
    is_full_size = (names, given.seconds, given.rate) == (ATTACKS, SECONDS, RATE)
    record("proof_abuse", figures, is_full_size=is_full_size)
    noticed = [name for name, of in figures["attacks"].items() if is_noticed(of)]
    if noticed or not figures["serves_afterwards"]:
        raise SystemExit(f"expected every attack to go unnoticed, got {', '.join(noticed)}")


def is_noticed(of: dict[str, float]) -> bool:
    """By more than the attacker's own work explains."""
    return of["answered"] < LEAST_SHARE or of["p99_over_sink"] > MOST_P99


def measure(names: Sequence[str], seconds: float, rate: float) -> dict[str, Any]:
    """What the caller noticed of each attack."""
    _raise_descriptors()
    with workplace() as folder:
        store = Store(folder / "store")
        publish(store, INDEX, build_of("exact", folder / "build"))
        with replica(store, folder / "cache", poll_seconds=0.1, required=INDEX) as running:
            return _attacked(running, names, seconds, rate)


def _attacked(
    running: Replica, names: Sequence[str], seconds: float, rate: float
) -> dict[str, Any]:
    requests = [
        search_pb2.SearchRequest(index=INDEX, query=by_vector(vector)).SerializeToString()
        for vector in draw(60).vectors
    ]
    with Load.start(running.running.address, requests) as load, sink() as elsewhere:
        load.run(rate)
        _watch(load, 1.0, rate)  # to warm up
        quiet, figures = [_watch(load, seconds, rate)], {}
        for name in names:
            with attack(name, elsewhere):
                beside = _watch(load, seconds, rate)
            cpu = _cpu_seconds(running.running)
            with attack(name, running.running.address) as sent:
                first = _watch(load, min(FIRST_SECONDS, seconds), rate)
                attacked = _watch(load, seconds, rate)
            figures[name] = {
                "first_answered": round(first.share, 4),
                "first_p99_ms": round(first.p99_ms, 2),
                **_compared(attacked, beside),
                "service_cores": round((_cpu_seconds(running.running) - cpu) / seconds, 2),
                "bursts_per_second": round(sent["bursts"] / seconds),
                "connections": sent["connections"],
            }
            quiet.append(_watch(load, seconds, rate))
    usual = median(each.p99_ms for each in quiet)
    for of in figures.values():
        of["p99_over_quiet"] = round(of["p99_ms"] / usual, 2)
    table(
        f"{rate:g} calls/s while somebody attacks; quiet p99 {usual:.2f} ms",
        ("attack", *next(iter(figures.values()))),
        [(name, *of.values()) for name, of in figures.items()],
    )
    return {
        "quiet_p99_ms": round(usual, 2),
        "quiet_answered": round(min(each.share for each in quiet), 4),
        "serves_afterwards": running.running.exit_code is None and running.served(INDEX) == 1,
        "attacks": figures,
    }


def _compared(attacked: Watched, beside: Watched) -> dict[str, float]:
    return {
        "answered": round(attacked.share, 4),
        "p99_ms": round(attacked.p99_ms, 2),
        "sink_p99_ms": round(beside.p99_ms, 2),
        "p99_over_sink": round(attacked.p99_ms / beside.p99_ms, 2),
    }


def _cpu_seconds(running: Running) -> float:
    fields = Path(f"/proc/{running.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _watch(load: Load, seconds: float, rate: float) -> Watched:
    in_time_seconds = min(IN_TIME_SECONDS, seconds)
    load.take()
    begin = time.monotonic()
    time.sleep(seconds + in_time_seconds)
    answers = load.take()
    mine = answers[(answers["due"] >= begin) & (answers["due"] < begin + seconds)]
    late = np.where(mine["generation"] > 0, mine["seconds"], np.inf)
    # A call that is still out, or not even sent, has no answer to be counted.
    good = int(np.count_nonzero(late <= in_time_seconds)) / max(len(mine), int(seconds * rate))
    answered = late[np.isfinite(late)]
    return Watched(good, 1e3 * float(np.percentile(answered, 99)) if len(answered) else np.inf)


def _raise_descriptors() -> None:
    """Ours and the children's: 500 connections each."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if most == resource.RLIM_INFINITY else min(most, DESCRIPTORS)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


if __name__ == "__main__":
    main()
