"""How candidates are sought: among which rows, how many, by the engine or by comparing all."""

import math
from dataclasses import dataclass, replace

import numpy as np

from search_service.engines import Mask
from search_service.errors import RecallNotReached
from search_service.manifest import EffortPoint, Manifest
from search_service.rules import Rules
from search_service.segment import MappedSegment

# Comparing this many rows takes as long as a forest search at a high recall (docs/decisions.md):
# a filter that leaves fewer is answered by comparing them all.
SCAN_ROWS = 20_000
# Caps and copies leave out some of the nearest: so many times as many are looked at from the start.
_SUPPLY = 4


@dataclass(frozen=True)
class Plan:
    """One round of seeking candidates."""

    allowed: Mask | None  # rows; None: all
    available: int  # how many rows are allowed
    search_k: int | None  # None: every allowed row is compared
    count: int  # candidates a query
    lowered: bool = False  # the engine was never measured to reach the recall asked for

    @property
    def is_exact(self) -> bool:
        return self.search_k is None

    def wider(self) -> "Plan":
        """Four times as many; by comparison once the engine would open a quarter of all."""
        count = min(4 * self.count, self.available)
        if self.search_k is None or 4 * count >= self.available:
            return self.exact()
        return replace(self, search_k=4 * self.search_k, count=count)

    def exact(self) -> "Plan":
        """Four times as many, by comparison."""
        count = min(4 * self.count, self.available)
        return replace(self, search_k=None, count=count, lowered=False)

    def without(self, rows: Mask) -> "Plan":
        """The same, but these rows may not be any more."""
        allowed = ~rows if self.allowed is None else self.allowed & ~rows
        available = int(np.count_nonzero(allowed))
        return replace(self, allowed=allowed, available=available, count=min(self.count, available))


def first_plan(
    segment: MappedSegment, manifest: Manifest, rules: Rules, allowed: Mask | None
) -> Plan:
    """The least that is likely to do. allowed: rows; None: all."""
    options = rules.options
    available = segment.photo_count if allowed is None else int(np.count_nonzero(allowed))
    photos_each = segment.photo_count / segment.item_count
    items_wanted = rules.wanted * (_SUPPLY if rules.chooses else 1) + 1
    rows_wanted = round(items_wanted * photos_each)
    # Photos of items that are left out may be among the nearest rows.
    left_out = round(len(rules.excluded) * photos_each)
    scan = segment.engine is None or options.recall == 1.0
    if scan or (allowed is not None and available <= SCAN_ROWS):
        return Plan(allowed, available, None, rows_wanted + left_out + 10)
    point = effort_for(manifest, options.recall)
    lowered = point.sure_recall < options.recall
    if lowered and options.strict_recall:
        raise _not_reached(manifest, options.recall, point)
    depth = max(point.depth, 2 * rows_wanted + point.depth // 2) + left_out
    # Neighbours further out need more of the forest, but less than in proportion: they stand
    # together. Those that a filter leaves are spread evenly over it.
    thinned = segment.photo_count / max(available, 1)
    search_k = point.effort * math.sqrt(depth / point.depth) * thinned
    return Plan(allowed, available, round(search_k), round(depth * thinned), lowered)


def effort_for(manifest: Manifest, recall: float) -> EffortPoint:
    """The least effort that surely reached the recall at the build; else the most."""
    efforts = manifest.segment.efforts
    return next((point for point in efforts if point.sure_recall >= recall), efforts[-1])


def _not_reached(manifest: Manifest, recall: float, most: EffortPoint) -> RecallNotReached:
    return RecallNotReached(
        f"options.accuracy: expected at most the recall that {manifest.index} was measured to "
        f"reach ({most.sure_recall:.3f}), got {recall:.2f}",
        index=manifest.index,
        recall=f"{recall:.2f}",
        reached=f"{most.sure_recall:.4f}",
    )
