"""Swaps of whole generations under load: failed calls, wrong answers, latency, what stays behind.

python -m benchmarks.swap [--swaps N] [--rows N] [--share 0.7] [--folder DIR]

Every generation is new in every blob (benchmarks/variants.py) and comes through the real publish.
Searches arrive at 70 % of the rate that the service was measured to sustain, from a process of
their own. Each answer is compared with what the files of the generation that it names say, asked in
this process. Latency counts from the change of CURRENT to a second after the first answer of the
new generation. Ctrl-C ends the run with what was measured so far.
"""

import argparse
import os
import shutil
import tempfile
import time
from collections import Counter
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
from benchmarks.variants import Original, write_variant
from search_service.build import BuildOptions, Published, Source, build, prune, publish
from search_service.build.publish import move_to
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
QUIET_SECONDS = 30.0
CAPACITY_SECONDS = 8.0
IN_FLIGHT = 8
AFTER_SECONDS = 1.0
PATIENCE_SECONDS = 300.0


@dataclass
class Measured:
    """Everything that a run leaves."""

    capacity: float = 0.0
    quiet: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    swaps: list[np.ndarray] = field(default_factory=list)  # seconds of each call of a window
    windows: list[float] = field(default_factory=list)  # seconds from CURRENT to promotion
    answers: int = 0
    failed: int = 0
    wrong: int = 0
    statuses: Counter[int] = field(default_factory=Counter)  # of the failed, as gRPC numbers them


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--swaps", type=int, default=SWAPS)
    parser.add_argument("--rows", type=int, default=datasets.ROWS)
    parser.add_argument("--share", type=float, default=SHARE)
    parser.add_argument("--quiet-seconds", type=float, default=QUIET_SECONDS)
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

    def run(self) -> None:
        self._move_to_next()
        service = processes.search(
            self._store.root,
            self._folder / "cache",
            poll_seconds=POLL_SECONDS,
            required=INDEX,
            ease_from=1,  # each answer at the effort at which it is asked again here
            drain_seconds=0,
        )
        # What makes and publishes generations is another machine's work: here it gives way.
        os.nice(19)
        with service, Load.start(service.address, self._requests()) as load:
            self._prepare(load)
            before = Footprint.of(service.process.pid)
            begun = time.monotonic()
            with suppress(KeyboardInterrupt):
                for _ in range(self._options.swaps):
                    self._swap(load)
            self._judge(load.take())
            after = Footprint.of(service.process.pid)
            seconds = time.monotonic() - begun
            cores = (after.cpu_seconds - before.cpu_seconds) / seconds
            asking = Footprint.of(load.process.pid or 0).cpu_seconds / (time.monotonic() - begun)
        _report(self._measured, self._options, before, after, (cores, asking))

    def _prepare(self, load: Load) -> None:
        """What the service sustains, how fast it answers undisturbed, and a first swap."""
        self._measured.capacity = load.capacity(IN_FLIGHT, self._options.capacity_seconds)
        self._judge(load.take())
        load.run(self._options.share * self._measured.capacity)
        time.sleep(self._options.quiet_seconds)
        quiet = load.take()
        self._judge(quiet)
        self._measured.quiet = quiet["seconds"]
        # The first leaves behind what every later one needs as well.
        self._swap(load)
        self._measured.swaps.clear()
        self._measured.windows.clear()

    def _swap(self, load: Load) -> None:
        """One generation more; keeps what callers saw until a second after its promotion."""
        self._judge(load.take())
        moved = self._move_to_next()
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
        self._measured.swaps.append(answers["seconds"][within])
        self._measured.windows.append(promoted - moved)
        self._say(number)

    def _say(self, number: int) -> None:
        ninety_nine = 1e3 * np.percentile(self._measured.swaps[-1], 99)
        quiet = 1e3 * np.percentile(self._measured.quiet, 99)
        print(
            f"generation {number}: served after {self._measured.windows[-1]:.1f} s, "
            f"p99 {ninety_nine:.1f} ms (quiet {quiet:.1f}), {self._measured.failed} failed, "
            f"{self._measured.wrong} wrong",
            flush=True,
        )

    def _move_to_next(self) -> float:
        """Makes and writes a generation, then moves CURRENT; the moment of that."""
        number = max(self._expected, default=0) + 1
        folder = self._folder / "variant"
        write_variant(self._original, number, folder)
        published = publish(self._store, INDEX, folder, serve=False)
        shutil.rmtree(folder)
        self._expected[number] = self._answers_of(published)
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
) -> None:
    swapping = np.concatenate(measured.swaps)
    quiet = [1e3 * float(np.percentile(measured.quiet, each)) for each in (50, 99)]
    busy = [1e3 * float(np.percentile(swapping, each)) for each in (50, 99)]
    table(
        f"{len(measured.swaps)} swaps of {options.rows:,} x 512 at {options.share:.0%} of "
        f"{measured.capacity:.0f} calls/s; CURRENT looked at every {POLL_SECONDS} s",
        ("", "calls", "p50 ms", "p99 ms"),
        [("quiet", len(measured.quiet), *quiet), ("while swapping", len(swapping), *busy)],
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
        "swaps": len(measured.swaps),
        "answers": measured.answers,
        "failed": measured.failed,
        "failed_by_status": {str(status): n for status, n in sorted(measured.statuses.items())},
        "wrong_generation": measured.wrong,
        "p99_ratio": round(busy[1] / quiet[1], 2),
        "quiet_p99_ms": round(quiet[1], 2),
        "swap_p99_ms": round(busy[1], 2),
        "worst_swap_p99_ratio": round(
            max(1e3 * float(np.percentile(each, 99)) for each in measured.swaps) / quiet[1], 2
        ),
        "seconds_to_serve": round(float(np.median(measured.windows)), 2),
        "capacity_qps": round(measured.capacity),
        "service_cores": round(cores[0], 2),
        "load_cores": round(cores[1], 2),
        "before": asdict(before),
        "after": asdict(after),
    }
    full = (len(measured.swaps), options.rows, options.share) == (SWAPS, datasets.ROWS, SHARE)
    record("swap", figures, is_full_size=full)
    if measured.failed or measured.wrong:
        raise SystemExit(f"{measured.failed} failed, {measured.wrong} wrong")


if __name__ == "__main__":
    main()
