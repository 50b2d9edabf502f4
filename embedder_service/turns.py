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

    Where turns wait a thread takes several of one line at once: its share, at most `most()`; those
    that are put to be `alone` it takes so. Neither a work nor `most` raises anything.
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
        self._online: deque[tuple[T, bool]] = deque()  # with whether it is to be alone
        self._bulk: deque[tuple[T, bool]] = deque()
        # For each turn in a line one True: threads wait for these without Python's own locks.
        self._there: SimpleQueue[bool] = SimpleQueue()
        for work in works:
            threading.Thread(target=self._run, args=(work,), name=name, daemon=True).start()

    def put(self, turn: T, bulk: bool, alone: bool = False) -> None:
        """Raises ShuttingDown."""
        with self._lock:
            if self._stopped:
                raise ShuttingDown("this replica is stopping; another takes the call")
            (self._bulk if bulk else self._online).append((turn, alone))
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
        with self._lock:
            line = self._online or self._bulk
            turn, alone = line.popleft()
            taken = [turn]
            more = 0 if alone else min(self._most() - 1, len(line) // self._threads)
            # A token for each, which another thread may have instead, and wait for the lock.
            while more > 0 and not line[0][1] and self._has_token():
                taken.append(line.popleft()[0])
                more -= 1
        return taken

    def _has_token(self) -> bool:
        with suppress(Empty):
            if self._there.get_nowait():
                return True
            self._there.put(False)  # that was this thread's end, or another's
        return False
