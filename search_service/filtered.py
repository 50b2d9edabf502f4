"""The rows that a call's filters leave, remembered: backends ask with the same few filters."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from lookalike.search.v1 import search_pb2 as pb

from search_service.engines import Mask
from search_service.filters import allowed_items
from search_service.manifest import Manifest
from search_service.segments import Segments

MOST_BYTES = 16 << 20  # of masks: 67 of 250,000 rows


@dataclass(frozen=True)
class Allowed:
    """Rows that may be found; not to be written to."""

    rows: Mask
    count: int


class Filtered:
    """Answers for one generation, the filters asked for last from memory. Safe for many threads."""

    def __init__(
        self, segments: Segments, manifest: Manifest, most_bytes: int = MOST_BYTES
    ) -> None:
        self._segments = segments
        self._manifest = manifest
        self._most = max(1, most_bytes // segments.row_numbers)
        self._known: OrderedDict[bytes, Allowed] = OrderedDict()
        self._one_at_a_time = threading.Lock()

    def rows(self, filters: Sequence[pb.Filter]) -> Allowed:
        """The live rows whose items fulfil all of the filters. Raises as allowed_items does."""
        key = _key(filters)
        with self._one_at_a_time:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
        found = self._evaluated(filters)
        with self._one_at_a_time:
            self._known[key] = found
            if len(self._known) > self._most:
                self._known.popitem(last=False)
        return found

    def _evaluated(self, filters: Sequence[pb.Filter]) -> Allowed:
        rows = self._segments.rows_of_items(allowed_items(self._segments, self._manifest, filters))
        if self._segments.live_rows is not None:
            rows &= self._segments.live_rows
        return Allowed(rows, int(np.count_nonzero(rows)))


def _key(filters: Sequence[pb.Filter]) -> bytes:
    """Of a fixed size: a filter may hold megabytes of values."""
    digest = hashlib.sha256()
    for each in filters:
        written = each.SerializeToString(deterministic=True)
        digest.update(len(written).to_bytes(8, "little"))
        digest.update(written)
    return digest.digest()
