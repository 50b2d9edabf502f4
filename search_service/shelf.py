"""What the store says of an index beside CURRENT: a hold, and generations that nobody serves."""

from datetime import UTC, datetime

import msgspec

from search_service.manifest import GENERATIONS, FormatError, Hold, decode, hold_key
from search_service.store import Store


class Shelf(msgspec.Struct, frozen=True):
    """newest: the highest number written, 0 for none. held_since: None without a hold."""

    newest: int = 0
    held_since: datetime | None = None


def read_shelf(store: Store, index: str) -> Shelf:
    """Raises OSError."""
    names = store.names(f"indexes/{index}/generations")
    numbers = [int(match[1]) for match in map(GENERATIONS.fullmatch, names) if match]
    return Shelf(max(numbers, default=0), _held_since(store.read_or_none(hold_key(index))))


def _held_since(data: bytes | None) -> datetime | None:
    """A hold that cannot be read is one all the same, of an unknown age."""
    if data is None:
        return None
    try:
        since = datetime.fromisoformat(decode(data, Hold, "HOLD").since)
    except (FormatError, ValueError):
        return datetime.fromtimestamp(0, UTC)
    return since if since.tzinfo else since.replace(tzinfo=UTC)
