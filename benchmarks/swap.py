"""Swaps of whole generations under load: failed calls, wrong answers, latency, what stays behind.

python -m benchmarks.swap [--swaps N] [--rows N] [--share 0.7] [--folder DIR]

Every generation is new in every blob (benchmarks/variants.py) and comes through the real publish.
Searches arrive at 70 % of the rate that the service was measured to sustain, from a process of
their own. Each answer is compared with what the files of the generation that it names say, asked in
this process. Latency counts from the change of CURRENT to a second after the first answer of the
new generation, and beside it in the quiet seconds before each change: what a machine shared with
others does to one it does to both. Beside every tenth the same is measured of a process that only
copies memory, with the priority and the rests of those that take a generation in: what any work on
these cores costs. Ctrl-C ends the run with what was measured so far.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from lookalike.search.v1 import search_pb2 as pb
from lookalike.v1.embedding_pb2 import Embedding
from lookalike_cli import processes

from benchmarks import datasets
from benchmarks.footprint import Footprint
from benchmarks.load import Load, digest
from benchmarks.record import record, table
from benchmarks.stolen import Clock
from benchmarks.variants import Original, write_variant
from search_service.apart import give_way
from search_service.build import BuildOptions, Published, Source, build, prune, publish
from search_service.build.publish import move_to
from search_service.config import SearchConfig
from search_service.generation import Generation
from search_service.options import read_options
from search_service.query import ByVector
from search_service.store import Store

SWAPS = 300
SHARE = 0.7
SPACE = "a" * 64
INDEX = "easy"
QUERIES = 200
WIDTHS = (48,)  # of the projection: the fastest on this set (docs/decisions.md)
POLL_SECONDS = 0.25
QUIET_SECONDS = 2.0
CAPACITY_SECONDS = 8.0
IN_FLIGHT = 8
CPU_SHARE = SearchConfig.intake_cpu_share
# A stall of 200 ms, which a machine shared with others has, makes a hundred calls wait that never
# ask again; by default a service refuses those above 64.
MAX_WAITING = 1024
AFTER_SECONDS = 1.0
PATIENCE_SECONDS = 300.0
CONTROL_EVERY = 10
_STOLEN_PERCENT = 0.2


@dataclass(frozen=True)
class Swap:
    """Seconds of each call before a change of CURRENT and until a second after the promotion.

    stolen_percent: of the machine's cores meanwhile, by others on the same host.
    """

    quiet: np.ndarray
    busy: np.ndarray
    seconds_to_serve: float
    stolen_percent: float

    @property
    def p99_ratio(self) -> float:
        return _p99_ms(self.busy) / _p99_ms(self.quiet)


@dataclass
class Measured:
    """Everything that a run leaves."""

    capacity: float = 0.0
    swaps: list[Swap] = field(default_factory=list)
    controls: list[Swap] = field(default_factory=list)
    answers: int = 0
    failed: int = 0
    wrong: int = 0
    statuses: Counter[int] = field(default_factory=Counter)  # of the failed, as gRPC numbers them


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--swaps", type=int, default=SWAPS)
    parser.add_argument("--rows", type=int, default=datasets.ROWS)
    parser.add_argument("--share", type=float, default=SHARE)
    parser.add_argument(
        "--quiet-seconds", type=float, default=QUIET_SECONDS, help="before each swap"
    )
    parser.add_argument("--capacity-seconds", type=float, default=CAPACITY_SECONDS)
    parser.add_argument("--folder", type=Path, help="where 4 GB of generations go for the time")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="swap-", dir=options.folder) as name:
        _Bench(Path(name), options).run()


class _Bench:
    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self._folder = folder
        self._options = options
        self._store = Store(folder / "store")
        dataset = datasets.easy(options.rows, QUERIES)
        self._queries = dataset.queries
        self._original = self._built(dataset.vectors)
        self._expected: dict[int, np.ndarray] = {}  # by generation: the digest of each answer
        self._measured = Measured()
        # What makes generations is another machine's work: here it gives way. The callers do not:
        # starved, they would send in bursts what was due.
        self._making = ThreadPoolExecutor(1, initializer=os.nice, initargs=(19,))

    def run(self) -> None:
        self._move_to(self._make_next())
        service = processes.search(
            self._store.root,
            self._folder / "cache",
            poll_seconds=POLL_SECONDS,
            required=INDEX,
            max_waiting=MAX_WAITING,
            intake_cpu_share=CPU_SHARE,
            ease_from=1,  # each answer at the effort at which it is asked again here
            drain_seconds=0,
        )
        with service, Load.start(service.address, self._requests()) as load:
            self._prepare(load)
            before = Footprint.of(service.process.pid)
            begun, clock = time.monotonic(), Clock.now()
            with suppress(KeyboardInterrupt):
                for number in range(self._options.swaps):
                    self._swap(load)
                    if number % CONTROL_EVERY == 0:
                        self._control(load)
            self._judge(load.take())
            after = Footprint.of(service.process.pid)
            seconds = time.monotonic() - begun
            cores = (after.cpu_seconds - before.cpu_seconds) / seconds
            stolen = clock.stolen_percent()
            asking = Footprint.of(load.process.pid or 0).cpu_seconds / (time.monotonic() - begun)
        _report(self._measured, self._options, before, after, (cores, asking), stolen)

    def _prepare(self, load: Load) -> None:
        """What the service sustains, and a first swap."""
        self._measured.capacity = load.capacity(IN_FLIGHT, self._options.capacity_seconds)
        self._judge(load.take())
        load.run(self._options.share * self._measured.capacity)
        # The first leaves behind what every later one needs as well.
        self._swap(load)
        self._measured.swaps.clear()

    def _swap(self, load: Load) -> None:
        """One generation more; keeps what callers saw until a second after its promotion."""
        published = self._making.submit(self._make_next).result()
        clock = Clock.now()
        quiet = self._quiet(load)
        moved = self._move_to(published)
        number = max(self._expected)
        taken, end = [], moved + PATIENCE_SECONDS
        promoted = 0.0
        while time.monotonic() < end:
            time.sleep(0.1)
            taken.append(load.take())
            new = taken[-1][taken[-1]["generation"] == number]
            if not promoted and len(new):
                promoted = float((new["due"] + new["seconds"]).min())
                end = promoted + AFTER_SECONDS + 0.2  # calls that were sent in it have to return
        answers = np.concatenate(taken)
        self._judge(answers)
        if not promoted:
            raise TimeoutError(f"generation {number}: expected to be served, got none of it")
        within = (answers["due"] >= moved) & (answers["due"] < promoted + AFTER_SECONDS)
        stolen = clock.stolen_percent()
        swap = Swap(quiet, answers["seconds"][within], promoted - moved, stolen)
        self._measured.swaps.append(swap)
        self._say(number, swap)

    def _control(self, load: Load) -> None:
        """As long as the last swap took, a process that has nothing to do with the service."""
        seconds = self._measured.swaps[-1].seconds_to_serve
        clock = Clock.now()
        quiet = self._quiet(load)
        work = [sys.executable, "-m", "benchmarks.beside", f"{seconds}", f"{CPU_SHARE}"]
        with subprocess.Popen(work) as beside:
            give_way(beside.pid)
        busy = load.take()
        self._judge(busy)
        stolen = clock.stolen_percent()
        self._measured.controls.append(Swap(quiet, busy["seconds"], seconds, stolen))

    def _quiet(self, load: Load) -> np.ndarray:
        """Seconds of each call while nothing else is done."""
        self._judge(load.take())
        time.sleep(self._options.quiet_seconds)
        quiet = load.take()
        self._judge(quiet)
        return quiet["seconds"]

    def _say(self, number: int, swap: Swap) -> None:
        print(
            f"generation {number}: served after {swap.seconds_to_serve:.1f} s, "
            f"p99 {_p99_ms(swap.busy):.1f} ms (quiet {_p99_ms(swap.quiet):.1f}, "
            f"{swap.stolen_percent:.1f} % stolen), {self._measured.failed} failed, "
            f"{self._measured.wrong} wrong",
            flush=True,
        )

    def _make_next(self) -> Published:
        """A generation in the store, and what its files answer; not yet CURRENT."""
        number = max(self._expected, default=0) + 1
        folder = self._folder / "variant"
        write_variant(self._original, number, folder)
        published = publish(self._store, INDEX, folder, serve=False)
        shutil.rmtree(folder)
        self._expected[number] = self._answers_of(published)
        return published

    def _move_to(self, published: Published) -> float:
        """The moment at which CURRENT changed."""
        moved = time.monotonic()
        move_to(self._store, published)
        prune(self._store, keep=1, grace_seconds=0)
        return moved

    def _answers_of(self, published: Published) -> np.ndarray:
        """What the generation's own files say to each query."""
        blobs = self._store.root / "blobs"
        generation = Generation.open(published.manifest, published.sha256, blobs)
        options = read_options(pb.SearchOptions(), queries=1)
        digests = []
        for query in self._queries:
            (answer,) = generation.nearest([ByVector(query.tobytes(), SPACE, "")], options).answers
            photos = [hit.photos[0] for hit in answer.hits]
            ids, distances = [each.photo_id for each in photos], [each.distance for each in photos]
            digests.append(digest(ids, distances))
        return np.array(digests, np.uint32)

    def _judge(self, answers: np.ndarray) -> None:
        """Counts calls that failed and answers that are not those of the generation they name."""
        failed = answers["generation"] < 0
        self._measured.answers += len(answers)
        self._measured.failed += int(np.count_nonzero(failed))
        self._measured.statuses.update((-answers["generation"][failed]).tolist())
        for number in np.unique(answers["generation"][~failed]).tolist():
            those = answers[answers["generation"] == number]
            right = self._expected[number][those["query"]] == those["digest"]
            self._measured.wrong += int(np.count_nonzero(~right))

    def _requests(self) -> list[bytes]:
        return [
            pb.SearchRequest(
                index=INDEX,
                query=pb.Query(embedding=Embedding(values=query.tobytes(), space_id=SPACE)),
            ).SerializeToString()
            for query in self._queries
        ]

    def _built(self, vectors: np.ndarray) -> Original:
        ids = pa.array([f"{row:07d}" for row in range(len(vectors))])
        source = Source(vectors, pa.table({"photo_id": ids}), SPACE)
        build(source, self._folder / "original", BuildOptions(engine="annoy", widths=WIDTHS))
        return Original.read(self._folder / "original")


def _report(
    measured: Measured,
    options: argparse.Namespace,
    before: Footprint,
    after: Footprint,
    cores: tuple[float, float],
    stolen_percent: float,
) -> None:
    rows = [
        (name, len(swaps), *_percentiles_ms(swaps))
        for name, swaps in (
            ("all", measured.swaps),
            (f"less than {_STOLEN_PERCENT} % stolen", _undisturbed(measured.swaps)),
            ("no swap, a process that copies memory", measured.controls),
        )
        if swaps
    ]
    table(
        f"{options.rows:,} x 512 at {options.share:.0%} of {measured.capacity:.0f} calls/s; "
        f"CURRENT looked at every {POLL_SECONDS} s; ms",
        ("swaps", "", "p50 quiet", "p50 swapping", "p99 quiet", "p99 swapping"),
        rows,
    )
    table(
        "the service before and after",
        ("", "before", "after"),
        [
            (name, getattr(before, name), getattr(after, name))
            for name in ("maps", "removed_files_mapped", "descriptors", "anonymous_mb")
        ],
    )
    figures: dict[str, Any] = {
        "rows": options.rows,
        "answers": measured.answers,
        "failed": measured.failed,
        "failed_by_status": {str(status): n for status, n in sorted(measured.statuses.items())},
        "wrong_generation": measured.wrong,
        **_ratios(measured.swaps),
        "undisturbed": _ratios(_undisturbed(measured.swaps)),
        "controls": _ratios(measured.controls),
        "seconds_to_serve": round(
            float(np.median([e.seconds_to_serve for e in measured.swaps])), 2
        ),
        "capacity_qps": round(measured.capacity),
        "service_cores": round(cores[0], 2),
        "load_cores": round(cores[1], 2),
        "stolen_percent": round(stolen_percent, 2),
        "before": asdict(before),
        "after": asdict(after),
    }
    full = (len(measured.swaps), options.rows, options.share) == (SWAPS, datasets.ROWS, SHARE)
    record("swap", figures, is_full_size=full)
    if measured.failed or measured.wrong:
        raise SystemExit(f"{measured.failed} failed, {measured.wrong} wrong")


def _undisturbed(swaps: list[Swap]) -> list[Swap]:
    """Those during which the machine had its cores for itself: what the service itself does."""
    return [swap for swap in swaps if swap.stolen_percent < _STOLEN_PERCENT]


def _ratios(swaps: list[Swap]) -> dict[str, Any]:
    if not swaps:
        return {"swaps": 0}
    _, _, quiet, busy = _percentiles_ms(swaps)
    return {
        "swaps": len(swaps),
        "p99_ratio": round(busy / quiet, 2),
        "median_swap_p99_ratio": round(float(np.median([swap.p99_ratio for swap in swaps])), 2),
        "quiet_p99_ms": round(quiet, 2),
        "swap_p99_ms": round(busy, 2),
    }


def _percentiles_ms(swaps: list[Swap]) -> list[float]:
    """The medians of all calls, quiet and while swapping, then their 99th percentiles."""
    quiet = np.concatenate([swap.quiet for swap in swaps])
    busy = np.concatenate([swap.busy for swap in swaps])
    return [1e3 * float(np.percentile(calls, at)) for at in (50, 99) for calls in (quiet, busy)]


def _p99_ms(seconds: np.ndarray) -> float:
    return 1e3 * float(np.percentile(seconds, 99))


if __name__ == "__main__":
    main()
