"""A client of one search server: one Python process, eight threads, the same loop whoever answers.

python -m benchmarks.rivals_milvus SYSTEM FOLDER build
python -m benchmarks.rivals_milvus SYSTEM FOLDER ask --efforts 16,24 --batches 1,64 --seconds 5

benchmarks/rivals.py starts it for each round, each system in its own Python environment: what is
imported here is in all of them. FOLDER holds vectors.npy, queries.npy and nearest.npy, the rows
that an exact search finds; the server keeps its data there too. The last line out is JSON.
"""

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np

CLIENTS = 8  # threads
NEIGHBOURS = 10
_TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")

Vectors = np.ndarray[Any, np.dtype[np.float32]]
Ask = Callable[[Vectors], list[list[int]]]
"""From queries [n, d] to the rows found for each, in one call where the server has such a call."""


class System(Protocol):
    """A server with the vectors of a folder in it."""

    def build(self, vectors: Vectors) -> Mapping[str, float]:
        """Takes the vectors in until they can be searched; the seconds of each step."""

    def serving(self) -> AbstractContextManager[tuple[int, ...]]:
        """Runs the server, ready to be asked; its process id, the root of its process tree."""

    def asker(self, effort: int) -> Ask:
        """How one client thread asks."""


def main(systems: Mapping[str, Callable[[Path], System]]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("system", choices=list(systems))
    parser.add_argument("folder", type=Path)
    parser.add_argument("verb", choices=("build", "ask"))
    parser.add_argument("--efforts", type=_numbers, default=[0])
    parser.add_argument("--batches", type=_numbers, default=[1])
    parser.add_argument("--seconds", type=float, default=5.0)
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))  # and the server is stopped
    system = systems[given.system](given.folder)
    if given.verb == "build":
        found: object = dict(system.build(np.load(given.folder / "vectors.npy")))
    else:
        queries = np.load(given.folder / "queries.npy")
        nearest = np.load(given.folder / "nearest.npy")
        with system.serving() as pids:
            found = [
                {"effort": effort, "batch": batch}
                | _asked(system.asker, effort, pids, queries, nearest, batch, given.seconds)
                for effort in given.efforts
                for batch in given.batches
            ]
    print(json.dumps(found))


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def _asked(
    asker: Callable[[int], Ask],
    effort: int,
    pids: tuple[int, ...],
    queries: Vectors,
    nearest: np.ndarray,
    batch: int,
    seconds: float,
) -> dict[str, float]:
    """A second to warm up; then some seconds that count, over all queries again and again."""
    starts = range(0, len(queries) - batch + 1, batch)
    asks = [asker(effort) for _ in range(CLIENTS)]

    def answers(client: int, until: float) -> list[tuple[int, list[list[int]]]]:
        found = []
        for start in islice(cycle(starts), client, None, CLIENTS):
            found.append((start, asks[client](queries[start : start + batch])))
            if time.perf_counter() >= until:
                break
        return found

    with ThreadPoolExecutor(CLIENTS) as pool:
        warm_until = time.perf_counter() + min(1.0, seconds)
        list(pool.map(answers, range(CLIENTS), [warm_until] * CLIENTS))
        server, client = tree_cpu_seconds(pids), time.process_time()
        begun = time.perf_counter()
        found = list(pool.map(answers, range(CLIENTS), [begun + seconds] * CLIENTS))
        took = time.perf_counter() - begun
        server, client = tree_cpu_seconds(pids) - server, time.process_time() - client
    answered = [each for one in found for each in one]
    count = len(answered) * batch
    return {
        "qps": count / took,
        "recall": recall(answered, nearest),
        "server_cpu_micros": server / count * 1e6,
        "client_cpu_micros": client / count * 1e6,
    }


def recall(answered: list[tuple[int, list[list[int]]]], nearest: np.ndarray) -> float:
    """The share of the true nearest rows that was found. answered: the first query, its rows, the
    next query's, ..."""
    shares = [
        len(set(rows) & set(nearest[start + place].tolist())) / nearest.shape[1]
        for start, found in answered
        for place, rows in enumerate(found)
    ]
    return float(np.mean(shares))


def tree_cpu_seconds(roots: tuple[int, ...]) -> float:
    """CPU of these processes and all below them, those that have ended included."""
    parents, ticks = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # ended meanwhile: its parent has its ticks
            continue
        pid = int(path.parent.name)
        parents[pid], ticks[pid] = int(fields[1]), sum(map(int, fields[11:15]))
    tree = set(roots)
    while below := {pid for pid, parent in parents.items() if parent in tree} - tree:
        tree |= below
    return sum(ticks.get(pid, 0) for pid in tree) * _TICK_SECONDS
