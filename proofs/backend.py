"""A backend: a process that looks images up through the client, and keeps what became of each call.

python -m proofs.backend OPTIONS, which are Options as JSON: for `backend`, in a process of its own.

Its threads call at fixed times, as many a second as asked; who is late goes on at once. Each call
is an Embed and a Search under one deadline. Its channels are those of any user of the client.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import repeat
from random import Random
from typing import Self

import numpy as np
from lookalike_client import Client, LookalikeError
from PIL import Image

from proofs.hostile_calls import HostileCalls
from proofs.tiers import INDEX

STRANGER = "a stranger's: "  # before the error of a hostile call
_STARTING_SECONDS, _ENDING_SECONDS = 60.0, 60.0


@dataclass(frozen=True, kw_only=True)
class Options:
    """embedder, search: targets, as the client takes them.

    rate: calls a second of all threads together; 0: each calls again as soon as it is answered.
    hostile: the share of calls that are a stranger's (proofs/hostile_calls.py); they fail where
    the services are at fault.
    """

    embedder: str
    search: str
    rate: float = 100.0
    threads: int = 16
    deadline_seconds: float = 2.0
    hostile: float = 0.0


@dataclass(frozen=True)
class Call:
    """begun: by time.monotonic(), which all processes of a machine share. error: "" if none."""

    begun: float
    seconds: float
    error: str


@dataclass
class Backend:
    """The process; `calls` has what became of all, once it has ended."""

    process: subprocess.Popen[str]
    calls: list[Call] = field(default_factory=list)

    @property
    def failed(self) -> list[Call]:
        return [call for call in self.calls if call.error]

    def made(self) -> int:
        """How many calls have ended so far."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def errors(self) -> str:
        """What failed, the most frequent first, in a line."""
        counts = Counter(call.error for call in self.failed)
        return "; ".join(f"{count} x {error}" for error, count in counts.most_common(5))

    def percentile_ms(self, percent: float) -> float:
        """Of how long the calls took."""
        return 1e3 * float(np.percentile([call.seconds for call in self.calls], percent))


@contextmanager
def backend(options: Options, under: Sequence[str] = ()) -> Iterator[Backend]:
    """Runs from its first answer until the end of the block, where its calls are read."""
    command = [*under, sys.executable, "-P", "-m", "proofs.backend", json.dumps(asdict(options))]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:  # type: ignore[call-overload]
        try:
            if not process.stdout.readline():
                raise RuntimeError("backend: expected it to call, got its end")
            running = Backend(process)
            yield running
            said, _ = process.communicate(timeout=_ENDING_SECONDS)
            running.calls += [Call(*each) for each in json.loads(said)]
        finally:
            process.kill()


def photos() -> list[bytes]:
    """A few small pictures of one colour each."""
    colours = np.random.default_rng(5).integers(30, 255, (8, 3)).tolist()
    files = [io.BytesIO() for _ in colours]
    for file, colour in zip(files, colours, strict=True):
        Image.new("RGB", (64, 48), tuple(colour)).save(file, "JPEG")
    return [file.getvalue() for file in files]


class Calling:
    """The threads of the process itself."""

    def __init__(self, client: Client, options: Options) -> None:
        self._client = client
        self._options = options
        self._looks = photos()
        self._strangers = HostileCalls(client) if options.hostile else None
        self._chance = Random(0)
        self._stop = threading.Event()
        self.calls: list[Call] = []

    def wait_for_an_answer(self) -> None:
        end = time.monotonic() + _STARTING_SECONDS
        while error := self._error(0):
            if time.monotonic() > end:
                raise SystemExit(f"backend: expected an answer, got {error}")
            time.sleep(0.05)

    def let_strangers_in(self) -> None:
        """Each of their calls once, as many together as there are threads: a service then has
        grown as far as they make it grow."""
        if self._strangers is None:
            return
        with ThreadPoolExecutor(self._options.threads) as pool:
            list(pool.map(self._error, range(len(self._strangers.calls)), repeat(True)))

    def __enter__(self) -> Self:
        begin, each = time.monotonic(), self._pause_seconds()
        self._threads = [
            threading.Thread(target=self._keep_calling, args=(number, begin + share * each, each))
            for number in range(self._options.threads)
            for share in [number / self._options.threads]
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _pause_seconds(self) -> float:
        """From one call of a thread to its next."""
        return self._options.threads / self._options.rate if self._options.rate else 0.0

    def _keep_calling(self, number: int, due: float, each_seconds: float) -> None:
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            begun = time.monotonic()
            is_strange = self._chance.random() < self._options.hostile
            error = self._error(
                self._chance.randrange(10_000) if is_strange else number, is_strange
            )
            self.calls.append(Call(begun, time.monotonic() - begun, error))
            number += 1
            due += each_seconds

    def _error(self, number: int, is_strange: bool = False) -> str:
        try:
            if self._strangers and is_strange:
                self._strangers.make(number)
            else:
                self._client.similar(INDEX, self._looks[number % len(self._looks)], k=5)
        except LookalikeError as error:
            who = STRANGER if is_strange else ""
            return f"{who}{type(error).__name__} {error.reason}: {str(error)[:160]}"
        return ""


def main(options: Options) -> None:
    with Client(
        embedder=options.embedder,
        search=options.search,
        deadline_seconds=options.deadline_seconds,
    ) as client:
        calling = Calling(client, options)
        calling.wait_for_an_answer()
        calling.let_strangers_in()
        with calling:
            print("begun", flush=True)
            for _ in sys.stdin:
                print(len(calling.calls), flush=True)
    print(json.dumps([(call.begun, call.seconds, call.error) for call in calling.calls]))


if __name__ == "__main__":
    main(Options(**json.loads(sys.argv[1])))
