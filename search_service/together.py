"""Searches of several calls as one: what comes while one runs is sought together after it.

A search lets go of the interpreter's lock a dozen times, for microseconds each. With other calls
waiting for it, each time costs two switches of threads: at eight calls at once those took more time
than the searches did. So as many calls search at a time as there are cores, and one that finds them
busy waits until its search is done with those of others, or it is its turn to do theirs. Nobody
waits for company: there is no timer, and a lone call searches at once.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from lookalike_kit import calls
from search_service.generation import Answers, Generation
from search_service.query import ByVector, Options, Target

MOST = 32


@dataclass(eq=False)
class _Call:
    """One call's search. Its thread waits for `turn`, with the answer or without."""

    generation: Generation
    target: Target
    options: Options
    is_awaited: Callable[[], bool] = field(default_factory=calls.awaited)
    turn: threading.Lock = field(default_factory=threading.Lock)
    answers: Answers | None = None
    leads: bool = False

    def goes_with(self, other: "_Call") -> bool:
        return self.generation is other.generation and self.options == other.options


class Together:
    """At most `at_once` searches at a time, each for up to MOST calls."""

    def __init__(self, at_once: int) -> None:
        self._lock = threading.Lock()
        self._free = at_once
        self._waiting: deque[_Call] = deque()

    def nearest(
        self, generation: Generation, targets: Sequence[Target], options: Options
    ) -> Answers:
        """As generation.nearest() answers and raises."""
        if not _is_plain(targets, options):
            return generation.nearest(targets, options)
        mine = _Call(generation, targets[0], options)
        if not self._leads(mine):
            mine.turn.acquire()
        if mine.leads:
            return self._lead(mine)
        # Where a search for several failed, each is told what is wrong with its own.
        return mine.answers or generation.nearest(targets, options)

    def _leads(self, mine: _Call) -> bool:
        """Whether there is room to search now; otherwise the call stands in line."""
        with self._lock:
            if self._free:
                self._free -= 1
                mine.leads = True
            else:
                mine.turn.acquire()
                self._waiting.append(mine)
        return mine.leads

    def _lead(self, mine: _Call) -> Answers:
        mates: list[_Call] = []
        try:
            calls.check_caller()  # before others are taken along, who would have to search alone
            mates = self._mates(mine)
            answers = self._search([mine, *mates])
            for each, answer in zip(mates, answers.answers[1:], strict=True):
                each.answers = replace(answers, answers=(answer,))
        except Exception:
            if not mates:
                raise
            return mine.generation.nearest([mine.target], mine.options)
        finally:
            self._hand_on()
            for each in mates:
                each.turn.release()
        return replace(answers, answers=answers.answers[:1])

    def _search(self, together: Sequence[_Call]) -> Answers:
        """Each of them has its share of the time that it took."""
        first = together[0]
        if len(together) == 1:
            return first.generation.nearest([first.target], first.options)
        with calls.awaited_by([each.is_awaited for each in together]):
            answers = first.generation.nearest([each.target for each in together], first.options)
        return replace(answers, stages=answers.stages.shared(len(together)))

    def _mates(self, mine: _Call) -> list[_Call]:
        """Takes those out of the line that can be searched for with this one."""
        with self._lock:
            mates = [each for each in self._waiting if each.goes_with(mine)][: MOST - 1]
            if mates:
                self._waiting = deque(each for each in self._waiting if each not in mates)
        return mates

    def _hand_on(self) -> None:
        """The next in line does the next search, with those who came after it."""
        with self._lock:
            if self._waiting:
                following = self._waiting.popleft()
                following.leads = True
                following.turn.release()
            else:
                self._free += 1


def _is_plain(targets: Sequence[Target], options: Options) -> bool:
    """One vector, and nothing that would make its search unlike those of others."""
    if len(targets) > 1 or not isinstance(targets[0], ByVector) or options.recall == 1.0:
        return False
    unlike = (options.filters, options.exclude_item_ids, options.max_per_value)
    return not any(unlike) and not (options.collapse_similarity or options.diversity)
