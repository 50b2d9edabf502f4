"""The search service with a clock around nearest(): what of its CPU is the search itself.

Started by benchmarks.rpc_cost in the place of `python -m search_service`. In the cache folder, the
file `clock` holds the CPU nanoseconds that the service's threads have spent in there: the same
queries, threads and moments as the process's own CPU, which no loop beside it would have.
"""

import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from time import thread_time_ns

import numpy as np

from search_service.__main__ import SEARCH, configuration, run
from search_service.generation import Answers, Generation
from search_service.query import Options, Target

CLOCK = "clock"


def wind(folder: Path) -> None:
    """Before the service is started."""
    folder.mkdir(parents=True, exist_ok=True)
    np.zeros(1, np.int64).tofile(folder / CLOCK)


def read_seconds(folder: Path) -> float:
    return int(np.fromfile(folder / CLOCK, np.int64)[0]) / 1e9


def _put_clock(folder: Path) -> None:
    spent = np.memmap(folder / CLOCK, np.int64, "r+")
    one_at_a_time = threading.Lock()
    nearest = Generation.nearest

    def clocked(self: Generation, targets: Sequence[Target], options: Options) -> Answers:
        begun = thread_time_ns()
        answers = nearest(self, targets, options)
        took = thread_time_ns() - begun
        with one_at_a_time:
            spent[0] += took
        return answers

    Generation.nearest = clocked  # type: ignore[method-assign]


if __name__ == "__main__":
    _put_clock(Path(os.environ["LOOKALIKE_SEARCH_CACHE"]))
    sys.exit(SEARCH.main(configuration, run))
