"""The search service beside the real servers Milvus 2.3.5 and PostgreSQL with pgvector.

python -m benchmarks.rivals [--rows N] [--queries N] [--rounds N] [--seconds S]
    [--only ours-fastest,milvus]

The same vectors and the same two cores for all, k = 10; HNSW with M 16 and ef_construction 200 in
both rivals. The client is one Python process with 8 threads that asks a call at a time each, the
same loop for all (benchmarks/rivals_client.py). A rival answers at its fastest setting: the least
ef with recall@10 of at least 0.99 on held-out queries; ours at the effort that its builder chose
for that recall. No ratio is given for what falls short of it. One server runs at
a time: each round starts, warms, asks and stops them in turn. Figures are medians of the rounds;
recall is that of the answers that were timed.

The rivals have an environment of their own, which `make bench-rivals` installs. A rival that is not
there, or fails, is named in the table and the figures, and nothing is kept under results/.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks import datasets
from benchmarks.record import record, table
from benchmarks.rivals_client import NEIGHBOURS
from search_service.engines.exact import nearest_rows

RIVALS_PYTHON = Path("build/bench-venv/bin/python")
CORES = 2
ROUNDS = 5
RECALL = 0.99
EFFORTS = (10, 12, 16, 24, 32, 48, 64)
BATCH = 64

Point = dict[str, Any]
"""An effort and a batch with their qps, recall and CPU, as rivals_client measures them."""


@dataclass(frozen=True)
class Contestant:
    """A server: the Python and the module that run it and ask it, and what it is asked."""

    name: str
    module: str
    python: Path
    efforts: tuple[int, ...]
    batches: tuple[int, ...]

    def run(self, folder: Path, verb: str, **options: object) -> Any:
        """A process that does one thing with this server; raises Failed with its last words."""
        if not self.python.exists():
            raise Failed(f"{self.python}: not installed; `make bench-rivals` does it")
        told = [f"--{name}={value}" for name, value in options.items()]
        command = [str(self.python), "-m", self.module, self.name, str(folder), verb, *told]
        # In a session of its own, so that a Ctrl-C comes to it once and its server is stopped.
        with (
            tempfile.TemporaryFile("w+") as words,
            subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=words, text=True, start_new_session=True
            ) as process,
        ):
            try:
                output, _ = process.communicate()
            except BaseException:
                process.terminate()
                raise
            if process.returncode:
                words.seek(0)
                raise Failed(words.read().strip().splitlines()[-1])
        return json.loads(output.splitlines()[-1])


OURS = Path(sys.executable)
CONTESTANTS = (
    Contestant("ours-fastest", "benchmarks.rivals_ours", OURS, (0,), (1, BATCH)),
    Contestant("ours-annoy", "benchmarks.rivals_ours", OURS, (0,), (1, BATCH)),
    Contestant("milvus", "benchmarks.rivals_milvus", RIVALS_PYTHON, EFFORTS, (1, BATCH)),
    Contestant("pgvector", "benchmarks.rivals_pgvector", RIVALS_PYTHON, EFFORTS, (1,)),
)


class Failed(Exception):
    """A server could not be had, built or asked."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=datasets.ROWS)
    parser.add_argument("--queries", type=int, default=datasets.QUERIES)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=5.0, help="of asking, a round")
    parser.add_argument("--only", default=",".join(each.name for each in CONTESTANTS))
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])  # and of all we start
    contestants = [each for each in CONTESTANTS if each.name in given.only.split(",")]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write(datasets.easy(given.rows, given.queries), folder)
        figures = {"rows": given.rows, **_measured(contestants, folder, given)}
    asked = (given.rows, given.queries, given.rounds, len(contestants))
    full = asked == (datasets.ROWS, datasets.QUERIES, ROUNDS, len(CONTESTANTS))
    record("rivals", figures, is_full_size=full and not figures["not_measured"])


def _write(dataset: datasets.Dataset, folder: Path) -> None:
    np.save(folder / "vectors.npy", dataset.vectors)
    np.save(folder / "queries.npy", dataset.queries)
    np.save(folder / "nearest.npy", nearest_rows(dataset.vectors, dataset.queries, NEIGHBOURS))


def _measured(
    contestants: Sequence[Contestant], folder: Path, given: argparse.Namespace
) -> dict[str, object]:
    failed: dict[str, str] = {}
    build_seconds: dict[str, dict[str, float]] = {}
    efforts: dict[Contestant, int] = {}
    for each in contestants:
        with _noted(failed, each.name):
            build_seconds[each.name] = each.run(folder, "build")
            efforts[each] = _effort(each, folder, given.seconds / 2)
    points: dict[tuple[str, int], list[Point]] = {}
    for _ in range(given.rounds):
        for each, effort in efforts.items():
            with _noted(failed, each.name):
                for point in _round(each, folder, effort, given.seconds):
                    points.setdefault((each.name, point["batch"]), []).append(point)
    medians = {key: _median(found) for key, found in points.items()}
    _show(medians, build_seconds)
    return {
        **ratios(medians),
        "asked": [{"system": name, **_rounded(point)} for (name, _), point in medians.items()],
        "build_seconds": {name: _rounded(steps) for name, steps in build_seconds.items()},
        "not_measured": failed,
    }


@contextmanager
def _noted(failed: dict[str, str], name: str) -> Iterator[None]:
    """The others go on without one that failed."""
    try:
        yield
    except Failed as error:
        failed[name] = str(error)
        print(f"{name}: not measured: {error}", flush=True)


def _effort(contestant: Contestant, folder: Path, seconds: float) -> int:
    """The effort to ask at, from a short run at each."""
    efforts = ",".join(map(str, contestant.efforts))
    tried: list[Point] = contestant.run(folder, "ask", efforts=efforts, seconds=seconds)
    for point in tried:
        print(
            f"{contestant.name}: effort {point['effort']}: {point['qps']:.0f} q/s, "
            f"recall {point['recall']:.4f}",
            flush=True,
        )
    return least(tried)


def least(tried: Sequence[Point]) -> int:
    """The least effort that reaches the recall: less work, whatever the noise; else the most."""
    efforts = sorted(point["effort"] for point in tried if point["recall"] >= RECALL)
    return int(efforts[0] if efforts else max(point["effort"] for point in tried))


def _round(contestant: Contestant, folder: Path, effort: int, seconds: float) -> list[Point]:
    batches = ",".join(map(str, contestant.batches))
    found: list[Point] = contestant.run(
        folder, "ask", efforts=effort, batches=batches, seconds=seconds
    )
    return found


def _median(points: Sequence[Point]) -> Point:
    return {key: median(point[key] for point in points) for key in points[0]}


def _rounded(figures: Mapping[str, float]) -> dict[str, float]:
    return {name: round(figure, 4) for name, figure in figures.items()}


def ratios(medians: Mapping[tuple[str, int], Point]) -> dict[str, float | None]:
    """Our queries a second over a rival's; None where either was not measured at the recall."""
    qps = {key: point["qps"] for key, point in medians.items() if point["recall"] >= RECALL}

    def ratio(rival: str, batch: int) -> float | None:
        ours, theirs = qps.get(("ours-fastest", batch)), qps.get((rival, batch))
        return round(ours / theirs, 2) if ours and theirs else None

    return {
        "vs_milvus_8_clients": ratio("milvus", 1),
        "vs_pgvector_8_clients": ratio("pgvector", 1),
        "vs_milvus_batch": ratio("milvus", BATCH),
    }


def _show(
    medians: Mapping[tuple[str, int], Point], build_seconds: Mapping[str, Mapping[str, float]]
) -> None:
    table(
        "8 client threads in one process, all on the same two cores",
        ("", "queries a call", "effort", "q/s", "recall@10", "server us/query", "client us/query"),
        [
            (
                name,
                batch,
                point["effort"],
                point["qps"],
                point["recall"],
                point["server_cpu_micros"],
                point["client_cpu_micros"],
            )
            for (name, batch), point in sorted(medians.items(), key=lambda item: item[0][1])
        ],
    )
    table(
        "From vectors to a server that searches them",
        ("", "seconds", "of which"),
        [
            (name, sum(steps.values()), ", ".join(f"{step} {s:.1f}" for step, s in steps.items()))
            for name, steps in build_seconds.items()
        ],
    )


if __name__ == "__main__":
    main()
