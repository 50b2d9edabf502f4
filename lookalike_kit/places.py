"""Places for calls that run, and who gets one that falls free."""

from __future__ import annotations

import threading
from collections import Counter, deque

from lookalike_kit.errors import Expired


class Places:
    """`running` of them; `max_waiting` calls may wait for one.

    A place that falls free goes to the caller with the fewest, by turns among equals: who sends
    more than its share waits longer, and not the others. Each caller's calls go by the order of
    their coming; so do all where callers have no names.
    """

    def __init__(self, running: int, max_waiting: int) -> None:
        self._lock = threading.Lock()
        self._free = running
        self._max_waiting = max_waiting
        self._running: Counter[str] = Counter()
        self._waiting: dict[str, deque[threading.Lock]] = {}  # by caller, whose turn it is first
        self._waiting_calls = 0

    @property
    def pressure(self) -> float:
        """The share of the places to wait in that are taken."""
        return self._waiting_calls / self._max_waiting if self._max_waiting else 0.0

    def take(self, caller: str, seconds: float) -> bool:
        """Waits for a place; False where as many as may are waiting. Raises Expired."""
        with self._lock:
            if self._free:
                self._free -= 1
                self._running[caller] += 1
                return True
            if self._waiting_calls >= self._max_waiting:
                return False
            mine = threading.Lock()
            mine.acquire()
            self._waiting.setdefault(caller, deque()).append(mine)
            self._waiting_calls += 1
        if not mine.acquire(timeout=min(max(seconds, 0.0), threading.TIMEOUT_MAX)):
            self._expire(caller, mine)
        return True

    def leave(self, caller: str) -> None:
        """Gives a place back."""
        with self._lock:
            self._running[caller] -= 1
            if not self._running[caller]:
                del self._running[caller]
            if self._waiting:
                self._hand_on()
            else:
                self._free += 1

    def _hand_on(self) -> None:
        caller = min(self._waiting, key=lambda each: self._running[each])
        calls = self._waiting.pop(caller)
        calls.popleft().release()
        self._running[caller] += 1
        self._waiting_calls -= 1
        if calls:  # after the others
            self._waiting[caller] = calls

    def _expire(self, caller: str, mine: threading.Lock) -> None:
        with self._lock:
            calls = self._waiting.get(caller, deque())
            waited_in_vain = mine in calls
            if waited_in_vain:
                calls.remove(mine)
                self._waiting_calls -= 1
            if caller in self._waiting and not calls:
                del self._waiting[caller]
        if not waited_in_vain:  # the place came in this very moment
            self.leave(caller)
        raise Expired("the deadline passed while the call waited")
