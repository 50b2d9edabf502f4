"""A call's options, with what one generation knows of them."""

import math
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from search_service.engines import Rows
from search_service.filters import grouped_values
from search_service.manifest import Manifest
from search_service.query import Options
from search_service.ranking import Ranking
from search_service.segments import Segments

# Diversity chooses among so many times k, ...
POOL = 4
# ... at most so many.
MAX_POOL = 1000
_NONE: Rows = np.empty(0, np.int64)


@dataclass(frozen=True)
class Rules:
    """A call's options, with what the generation knows of them."""

    options: Options
    excluded: Rows  # items
    values: pa.ChunkedArray | None  # of max_per_value's attribute, one an item

    @property
    def wanted(self) -> int:
        """How many are taken, for diversity to choose k of them."""
        k = self.options.k
        return min(POOL * k, MAX_POOL) if self.options.diversity else k

    @property
    def chooses(self) -> bool:
        return self.values is not None or self.options.collapse_similarity > 0.0

    @property
    def refuses(self) -> bool:
        """Whether k may be far away or not exist: then the engine is not asked a second time."""
        return self.values is not None or self.options.minimum_similarity > 0.0

    @property
    def reach(self) -> float:
        """The distance of the least similarity."""
        least = self.options.minimum_similarity
        return math.sqrt(2.0 - 2.0 * least) if least else math.inf

    def values_of(self, ranking: Ranking) -> list[object]:
        """The value that max_per_value counts, one a place; None: not counted."""
        if self.values is None:
            return [None] * len(ranking)
        values: list[object] = self.values.take(pa.array(ranking.items)).to_pylist()
        return values


def read_rules(segments: Segments, manifest: Manifest, options: Options) -> Rules:
    values = None
    if cap := options.max_per_value:
        field = "options.max_per_value"
        values = grouped_values(segments, manifest, cap.attribute, field)
    excluded = _NONE
    if options.exclude_item_ids:
        excluded = segments.find_items(options.exclude_item_ids)
    return Rules(options, excluded, values)
