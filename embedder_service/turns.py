"""Threads that work by turns: online before bulk, each in the order of coming."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

from lookalike_kit.errors import ShuttingDown

T = TypeVar("T")


class Turns(Generic[T]):
    """A thread of this name for each of `works`, until `stop`.

    Where turns wait a thread takes several at once: its share of them, at most `most()`. A work
    raises nothing.
    """

    def __init__(
        self,
        name: str,
        works: Sequence[Callable[[Sequence[T]], None]],
        most: Callable[[], int] = lambda: 1,
    ) -> None:
        self._threads = len(works)
        self._most = most
        self._lock = threading.Lock()
        self._stopped = False
        self._online: deque[T] = deque()
        self._bulk: deque[T] = deque()
        # For each turn in a line one True: threads wait for these without Python's own locks.
        self._there: SimpleQueue[bool] = SimpleQueue()
        for work in works:
            threading.Thread(target=self._run, args=(work,), name=name, daemon=True).start()

    def put(self, turn: T, bulk: bool) -> None:
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

    def _run(self, work: Callable[[Sequence[T]], None]) -> None:
        while self._there.get():
            work(self._taken())

    def _taken(self) -> list[T]:
        taken = [self._next()]
        more = min(self._most() - 1, self._there.qsize() // self._threads)
        with suppress(Empty):
            while more > 0 and self._there.get_nowait():
                taken.append(self._next())
                more -= 1
            if more > 0:
                self._there.put(False)  # that was this thread's end, or another's
        return taken

    def _next(self) -> T:
        try:
            return self._online.popleft()
        except IndexError:  # and as many turns are here as threads that look for one
            return self._bulk.popleft()
