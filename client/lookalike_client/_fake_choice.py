"""Which of an answer's candidates become its hits, by search.proto's SearchOptions."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lookalike.search.v1 import search_pb2

from lookalike_client._values import AttributeValue

_POOL = 4
_MOST = 1000
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Candidate:
    """A possible hit: its nearest photo's vector, and the value that max_per_value counts."""

    hit: search_pb2.Hit
    vector: Sequence[float]
    value: AttributeValue | None

    @property
    def similarity(self) -> float:
        return self.hit.photos[0].similarity


def choose(
    candidates: Sequence[Candidate], count: int, options: search_pb2.SearchOptions
) -> list[search_pb2.Hit]:
    """candidates: the nearest first."""
    wanted = min(_POOL * count, _MOST) if options.diversity else count
    taken: list[Candidate] = []
    held: Counter[AttributeValue] = Counter()
    for each in candidates:
        full = each.value is not None and held[each.value] >= options.max_per_value.count
        if full or each.similarity < options.minimum_similarity or _is_copy(each, taken, options):
            continue
        taken.append(each)
        if each.value is not None:
            held[each.value] += 1
    del taken[wanted:]
    return [each.hit for each in _spread(taken, options.diversity)[:count]]


def _is_copy(
    candidate: Candidate, taken: Sequence[Candidate], options: search_pb2.SearchOptions
) -> bool:
    least = options.collapse_similarity
    return least > 0 and any(_alike(candidate, each) >= least - _ROUNDING for each in taken)


def _spread(taken: list[Candidate], diversity: float) -> list[Candidate]:
    if not diversity:
        return taken
    left, chosen = list(taken), list[Candidate]()
    while left:
        best = max(left, key=_marginal_relevance(chosen, diversity))
        left.remove(best)
        chosen.append(best)
    return chosen


def _marginal_relevance(
    chosen: Sequence[Candidate], diversity: float
) -> Callable[[Candidate], float]:
    def relevance(candidate: Candidate) -> float:
        closest = max([0.0, *(_alike(candidate, each) for each in chosen)])
        return round((1 - diversity) * candidate.similarity - diversity * closest, 6)

    return relevance


def _alike(one: Candidate, other: Candidate) -> float:
    return sum(a * b for a, b in zip(one.vector, other.vector, strict=True))
