"""Threads that work by turns: online before bulk, each in the order of coming."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue

from lookalike_kit.errors import ShuttingDown

Turn = Callable[[], None]


class Turns:
    """So many threads of this name, until `stop`. A turn raises nothing."""

    def __init__(self, name: str, threads: int) -> None:
        self._threads = threads
        self._lock = threading.Lock()
        self._stopped = False
        self._online: deque[Turn] = deque()
        self._bulk: deque[Turn] = deque()
        # For each turn in a line one True: threads wait for these without Python's own locks.
        self._there: SimpleQueue[bool] = SimpleQueue()
        for _ in range(threads):
            threading.Thread(target=self._run, name=name, daemon=True).start()

    def put(self, turn: Turn, bulk: bool) -> None:
        """Raises ShuttingDown."""
        with self._lock:
            if self._stopped:
                raise ShuttingDown("this replica is stopping; another takes the call")
            (self._bulk if bulk else self._online).append(turn)
            self._there.put(True)

    def stop(self) -> None:
        """The threads end after the turns that are there; takes no time."""
        with self._lock:
            self._stopped = True
            for _ in range(self._threads):
                self._there.put(False)

    def _run(self) -> None:
        while self._there.get():
            self._next()()

    def _next(self) -> Turn:
        try:
            return self._online.popleft()
        except IndexError:  # and as many turns are here as threads that look for one
            return self._bulk.popleft()
