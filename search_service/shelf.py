"""What the store says of an index beside CURRENT: a hold, and generations that nobody serves."""

from datetime import UTC, datetime

import msgspec

from search_service.manifest import GENERATIONS, FormatError, Hold, decode, hold_key
from search_service.store import Store


class Shelf(msgspec.Struct, frozen=True):
    """newest: the highest number written, 0 for none. held_since: None without a hold."""

    newest: int = 0
    held_since: datetime | None = None
    hold_reason: str = ""
    has_current: bool = True


def read_shelf(store: Store, index: str, *, has_current: bool = True) -> Shelf:
    """Raises OSError."""
    names = store.names(f"indexes/{index}/generations")
    numbers = [int(match[1]) for match in map(GENERATIONS.fullmatch, names) if match]
    held_since, reason = _hold(store.read_or_none(hold_key(index)))
    return Shelf(max(numbers, default=0), held_since, reason, has_current)


def _hold(data: bytes | None) -> tuple[datetime | None, str]:
    """A hold that cannot be read is one all the same, of an unknown age."""
    if data is None:
        return None, ""
    try:
        hold = decode(data, Hold, "HOLD")
        since = datetime.fromisoformat(hold.since)
    except (FormatError, ValueError):
        return datetime.fromtimestamp(0, UTC), "it cannot be read"
    return since if since.tzinfo else since.replace(tzinfo=UTC), hold.reason
