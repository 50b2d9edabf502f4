"""A generation's segments read as one: rows and items are numbered through, the base's first.

Each item that is there stands in one segment alone. Rows of the base that are dead keep their
numbers; nothing finds them.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from search_service.engines import Look, Mask, Rows, Vectors
from search_service.engines.exact import Stacked
from search_service.segment import ATTRIBUTE, MappedSegment
from search_service.texts import Texts

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

AttributeValue = str | int | float | bool | datetime | list[str]


class Segments:
    """Reads the mapped segments of one generation. dead: items of the base [items]; None: none."""

    def __init__(self, parts: Sequence[MappedSegment], dead: Mask | None = None) -> None:
        self.parts = tuple(parts)
        self.vectors: Vectors | Stacked = self.parts[0].vectors
        if len(self.parts) > 1:
            self.vectors = Stacked([part.vectors for part in self.parts])
        self.row_starts = _starts([len(part.vectors) for part in self.parts])
        self._items = pa.concat_tables([part.items for part in self.parts])
        self._item_ids = self._items.column("item_id")
        self._item_starts = _starts([len(part.items) for part in self.parts])
        self.first_rows: Rows = np.concatenate(
            [part.first_rows + start for part, start in zip(parts, self.row_starts, strict=True)]
        )
        self.row_numbers = len(self.vectors)  # dead rows among them
        self.item_numbers = len(self._items)
        self._items_of_rows: Rows | None = None  # where each item has one photo
        if self.row_numbers > self.item_numbers:
            counts = np.diff(self.first_rows, append=self.row_numbers)
            self._items_of_rows = np.repeat(np.arange(self.item_numbers), counts)
        self.dead = dead
        self._dead = _padded(dead, self.item_numbers)
        self.live_rows: Mask | None = None if dead is None else self.rows_of_items(~self._dead)
        self.live_row_count = self.row_numbers
        if self.live_rows is not None:
            self.live_row_count = int(np.count_nonzero(self.live_rows))
        self._ranks = self._ranks_of_all()

    def candidates(self, queries: Vectors, looks: Sequence[Look]) -> list[Rows]:
        """Rows most likely to be near each query [m, d], by each segment's engine; unranked."""
        found = [
            part.engine.candidates(queries, look.count, look.effort)
            for part, look in zip(self.parts, looks, strict=True)
        ]
        if len(found) == 1:
            return found[0]
        return [
            np.concatenate([rows + at for rows, at in zip(each, self.row_starts, strict=True)])
            for each in zip(*found, strict=True)
        ]

    @property
    def is_by_id(self) -> bool:
        """Whether rows in order are ids in order."""
        return self._ranks is None

    def items_of(self, rows: Rows) -> Rows:
        """The item number of each row."""
        return rows if self._items_of_rows is None else self._items_of_rows[rows]

    def rows_of(self, item: int) -> range:
        """The rows of an item's photos."""
        last = item + 1 == self.item_numbers
        return range(
            int(self.first_rows[item]), self.row_numbers if last else int(self.first_rows[item + 1])
        )

    def rows_of_items(self, items: Mask) -> Mask:
        """The rows of the items for which this is true: an array of the caller's own."""
        return items.copy() if self._items_of_rows is None else items[self._items_of_rows]

    def by_id(self, rows: Rows) -> Rows:
        """These ascending rows in the order of their items' ids."""
        if self._ranks is None:
            return rows
        return rows[np.argsort(self._ranks[self.items_of(rows)], kind="stable")]

    def ranks(self, items: Rows) -> Rows:
        """Numbers that order these items as their ids do."""
        return items if self._ranks is None else self._ranks[items]

    def item_ids(self, items: Sequence[int]) -> list[str]:
        """The ids of these items."""
        return _texts([part.item_ids for part in self.parts], self._item_starts, items)

    def photo_ids(self, rows: Sequence[int]) -> list[str]:
        """The ids of the photos in these rows."""
        return _texts([part.photo_ids for part in self.parts], self.row_starts, rows)

    def find_item(self, item_id: str) -> int | None:
        """The number of the item with this id."""
        wanted = item_id.encode()
        for part, start in zip(self.parts, self._item_starts, strict=True):
            ids = part.item_ids
            at = bisect_left(range(len(ids)), wanted, key=ids.encoded)
            if at < len(ids) and ids.encoded(at) == wanted and not self._dead[start + at]:
                return start + at
        return None

    def find_items(self, item_ids: Sequence[str]) -> Rows:
        """The numbers of the items with these ids, ascending; without those that are not there."""
        # A bisection takes 20 us, a scan 20 ns an item.
        if len(item_ids) * 1000 > self.item_numbers:
            found = pc.is_in(self._item_ids, value_set=pa.array(item_ids, pa.string()))
            return np.flatnonzero(found.to_numpy() & ~self._dead)
        numbers = {self.find_item(item_id) for item_id in item_ids}
        return np.array(sorted(item for item in numbers if item is not None), np.int64)

    def attribute(self, name: str) -> pa.ChunkedArray:
        """One attribute of all items; KeyError if there is none of this name."""
        return self._items.column(ATTRIBUTE + name)

    def attributes(self, item: int) -> Iterator[tuple[str, AttributeValue]]:
        """An item's attributes that are not missing."""
        for name in self._items.column_names:
            if name.startswith(ATTRIBUTE):
                value = _plain(self._items.column(name)[item])
                if value is not None:
                    yield name.removeprefix(ATTRIBUTE), value

    def _ranks_of_all(self) -> Rows | None:
        """Each item's place by id. None: its number is its place."""
        if len(self.parts) == 1:
            return None
        order = pc.sort_indices(self._item_ids).to_numpy()
        ranks = np.empty(len(order), np.int64)
        ranks[order] = np.arange(len(order))
        return ranks


def _texts(parts: Sequence[Texts], starts: Sequence[int], numbers: Sequence[int]) -> list[str]:
    """By the numbers of items or rows, each segment's first among them in `starts`."""
    if len(parts) == 1:
        return parts[0].at(numbers)
    places = ((bisect_right(starts, number) - 1, number) for number in numbers)
    return [parts[part][number - starts[part]] for part, number in places]


def _starts(lengths: Sequence[int]) -> list[int]:
    return [sum(lengths[:i]) for i in range(len(lengths))]


def _padded(dead: Mask | None, items: int) -> Mask:
    padded = np.zeros(items, np.bool_)
    if dead is not None:
        padded[: len(dead)] = dead
    return padded


def _plain(scalar: pa.Scalar) -> AttributeValue | None:
    # Arrow asks the system's time zones even for UTC, and a slim image has none.
    if isinstance(scalar, pa.TimestampScalar) and scalar.is_valid:
        return _EPOCH + timedelta(microseconds=scalar.value)
    value: AttributeValue | None = scalar.as_py()
    return value


def utc(moment: datetime) -> datetime:
    """A moment with its zone; one without is UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
