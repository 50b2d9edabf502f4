"""How candidates are sought: among which rows, how many, by the engine or by comparing all."""

import math
from dataclasses import dataclass, replace

import numpy as np

from search_service.engines import Look, Mask
from search_service.errors import RecallNotReached
from search_service.filtered import Allowed
from search_service.manifest import EffortPoint
from search_service.rules import Rules
from search_service.segments import Segments

# Gathering a row that a filter leaves and comparing it, a float; measured in docs/decisions.md.
_SCAN_MICROS = 0.001
# The rows that ten hits take, as the builder measured: one for an item that is left out.
_MEASURED = 11
# Caps and copies leave out some of the nearest: so many times as many are looked at from the start.
_SUPPLY = 4


@dataclass(frozen=True)
class Plan:
    """One round of seeking candidates."""

    allowed: Mask | None  # rows; None: all
    available: int  # how many rows are allowed
    looks: tuple[Look, ...]  # one a segment; none: every allowed row is compared
    count: int  # candidates a query
    lowered: bool = False  # an engine was never measured to reach the recall asked for

    @property
    def is_exact(self) -> bool:
        return not self.looks

    def wider(self) -> "Plan":
        """Four times as many; by comparison once the engine would open a quarter of all."""
        count = min(4 * self.count, self.available)
        if self.is_exact or 4 * count >= self.available:
            return self.exact()
        looks = tuple(look.wider(self.available) for look in self.looks)
        return replace(self, looks=looks, count=count)

    def exact(self) -> "Plan":
        """Four times as many, by comparison."""
        count = min(4 * self.count, self.available)
        return replace(self, looks=(), count=count, lowered=False)

    def without(self, rows: Mask) -> "Plan":
        """The same, but these rows may not be any more."""
        allowed = ~rows if self.allowed is None else self.allowed & ~rows
        available = int(np.count_nonzero(allowed))
        return replace(self, allowed=allowed, available=available, count=min(self.count, available))


def first_plan(index: str, segments: Segments, rules: Rules, allowed: Allowed | None) -> Plan:
    """The least that is likely to do. allowed: by the filters; None: there are none."""
    rows, available = segments.live_rows, segments.live_row_count
    if allowed is not None:
        rows, available = allowed.rows, allowed.count
    needs = _needs(segments, rules, available)
    scan = Plan(rows, available, (), needs.rows + needs.left_out + 10)
    if segments.parts[0].about.engine == "exact" or rules.options.recall == 1.0:
        return scan
    points = [part.effort_for(rules.options.recall) for part in segments.parts]
    looks = tuple(needs.look(point) for point in points)
    # Few may be left by removals, too: of 20,000 x 128 rows with 28 live ones annoy took 55 ms.
    if allowed is not None or 2 * available < segments.row_numbers:
        scan_micros = available * segments.vectors.shape[1] * _SCAN_MICROS
        if scan_micros <= sum(map(_micros, points, looks)):
            return scan
    short = [point for point in points if point and point.sure_recall < rules.options.recall]
    if short and rules.options.strict_recall:
        raise _not_reached(index, rules.options.recall, short[0])
    lowered = bool(short) or rules.options.eased
    return Plan(rows, available, looks, looks[0].count, lowered)


@dataclass(frozen=True)
class _Needs:
    """What an answer takes of the engines."""

    items: int  # more than are wanted, where some may not be taken
    rows: int  # photos that are likely to hold the items wanted
    left_out: int  # photos of items left out, which may be among the nearest
    thinned: float  # rows over those allowed, which are spread evenly over all

    def look(self, point: EffortPoint | None) -> Look:
        """point: None for a segment whose vectors are all compared."""
        if point is None:
            return Look(round((2 * self.rows + self.left_out) * self.thinned), 0)
        # The curve is of ten neighbours. Those further out take more of the engine, but less than
        # in proportion, because they stand together (docs/decisions.md).
        depth = point.depth * math.sqrt(max(1, self.rows / _MEASURED)) + self.left_out
        depth += max(0, self.rows - _MEASURED) + 2 * max(0, self.items - _MEASURED)
        effort = point.effort * (depth / point.depth) ** 0.6 * self.thinned
        return Look(round(depth * self.thinned), round(effort))


def _micros(point: EffortPoint | None, look: Look) -> float:
    """What the engine will take, by the builder's measurement. A delta's comparison is nothing."""
    return point.micros * look.effort / point.effort if point else 0.0


def _needs(segments: Segments, rules: Rules, available: int) -> _Needs:
    photos_each = segments.row_numbers / segments.item_numbers
    items = rules.wanted * (_SUPPLY if rules.chooses else 1) + 1
    return _Needs(
        items=items,
        rows=round(items * photos_each),
        left_out=round(len(rules.excluded) * photos_each),
        thinned=segments.row_numbers / max(available, 1),
    )


def _not_reached(index: str, recall: float, most: EffortPoint) -> RecallNotReached:
    return RecallNotReached(
        f"options.accuracy: expected at most the recall that {index} was measured to "
        f"reach ({most.sure_recall:.3f}), got {recall:.2f}",
        index=index,
        recall=f"{recall:.2f}",
        reached=f"{most.sure_recall:.4f}",
    )
