"""What a replica stays on, whatever CURRENT says."""

from collections.abc import Iterable
from datetime import datetime

import msgspec

from search_service.manifest import Current, Entry


class Pin(msgspec.Struct, frozen=True, kw_only=True):
    """A generation to serve in its space until the pin is taken out; why, and since when."""

    index: str
    entry: Entry
    reason: str
    since: datetime

    def holds(self, index: str, space_id: str | None) -> bool:
        """Whether it holds this space of the index; None: any."""
        return self.index == index and space_id in (None, self.entry.space_id)


def with_pins(index: str, current: Current, pins: Iterable[Pin]) -> Current:
    """What CURRENT would say if the pins had their way."""
    entries = {pin.entry.space_id: pin.entry for pin in pins if pin.index == index}
    serving = [entries.pop(entry.space_id, entry) for entry in current.serving]
    return Current(schema=current.schema, serving=(*serving, *entries.values()))


def encode_pins(pins: tuple[Pin, ...]) -> bytes:
    return msgspec.json.encode(pins)


def decode_pins(data: bytes) -> tuple[Pin, ...]:
    """A damaged copy is worth as much as none."""
    try:
        return msgspec.json.decode(data, type=tuple[Pin, ...])
    except msgspec.DecodeError:  # and ValidationError, which is one
        return ()
