"""One generation takes another's place while callers ask."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lookalike_client import LookalikeError

from embedder_service.judging.methods import Vectors
from lookalike_cli.demo.stage import PATIENCE_SECONDS, Stage

CALLERS = 3
CALLS_DURING_SWAPS = 2_000
CALLS_BETWEEN = 400


@dataclass(frozen=True)
class Swaps:
    """What callers met.

    `calls` were answered while a swap was under way: between the publish, or the move of CURRENT,
    and the moment the other generation was served. `generations` answered them and those between.
    `seconds` is the first swap's, its publish included.
    """

    count: int
    calls: int
    generations: tuple[int, ...]
    seconds: float


def swap(stage: Stage, built: Path, queries: Vectors) -> Swaps:
    """Publishes, then moves CURRENT to and fro until enough calls have met a swap."""
    calls = 0
    seconds: list[float] = []
    with _callers(stage, queries) as answered:
        _until_more(answered, CALLS_BETWEEN)
        serving, other = answered[-1], 0
        while calls < CALLS_DURING_SWAPS:
            begun, before = time.monotonic(), len(answered)
            if not seconds:
                serving, other = stage.publish(built), serving
            else:
                stage.move_to(other)
                serving, other = other, serving
            seconds.append(time.monotonic() - begun)
            calls += len(answered) - before
            _until_more(answered, CALLS_BETWEEN)
    return Swaps(len(seconds), calls, tuple(sorted(set(answered))), seconds[0])


@contextmanager
def _callers(stage: Stage, queries: Vectors) -> Iterator[Sequence[int]]:
    """Threads that search one query after the other; the generations that answered."""
    answered: list[int] = []
    stop = threading.Event()

    def ask(number: int) -> None:
        while not stop.is_set():
            number += CALLERS
            try:
                answered.append(stage.search(queries[number % len(queries)]).generation)
            except LookalikeError:
                time.sleep(0.05)  # in the tally, and asked again

    threads = [threading.Thread(target=ask, args=(first,)) for first in range(CALLERS)]
    for thread in threads:
        thread.start()
    try:
        yield answered
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _until_more(answered: Sequence[int], count: int) -> None:
    enough = len(answered) + count
    until = time.monotonic() + PATIENCE_SECONDS
    while len(answered) < enough:
        if time.monotonic() > until:
            raise TimeoutError(f"callers: expected {count} answers in {PATIENCE_SECONDS} s")
        time.sleep(0.05)
