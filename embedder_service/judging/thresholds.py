"""How far apart the similarities of other items and of the same lie, in each space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from embedder_service.judging import pairs
from embedder_service.judging.contestants import Contestant
from embedder_service.judging.findings import Similarities
from embedder_service.judging.pairs import Moved, Pairs
from embedder_service.training.data import Photo


@dataclass(frozen=True)
class Thresholds:
    """The same pairs of photos in every space: `spaces` has a row a contestant."""

    others: Pairs
    spaces: tuple[Similarities, ...]

    def moved(self, threshold: float | None) -> tuple[Moved, ...]:
        """Thresholds of the last space but one in the last; without one, those of known rates."""
        old, new = self.spaces[-2:]
        if not len(self.others.left):
            return ()
        wanted = [one.similarity for one in old.thresholds] if threshold is None else [threshold]
        apart, same = (old.others, new.others), (old.same, new.same)
        return tuple(pairs.moved(each, self.others, apart, same) for each in wanted)


def thresholds(photos: Sequence[Photo], contestants: Sequence[Contestant]) -> Thresholds:
    items = [photo.item_id for photo in photos]
    others, same = pairs.other_item_pairs(items), pairs.same_item_pairs(items)
    return Thresholds(others, tuple(_similarities(each, others, same) for each in contestants))


def _similarities(contestant: Contestant, others: Pairs, same: Pairs) -> Similarities:
    apart, together = (each.similarities(contestant.vectors) for each in (others, same))
    return Similarities(
        name=contestant.name,
        is_judged=contestant.is_judged,
        other_pairs=len(apart),
        same_pairs=len(together),
        thresholds=tuple(pairs.thresholds(apart, together)),
        others=apart,
        same=together,
    )
