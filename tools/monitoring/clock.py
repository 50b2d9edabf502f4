"""Times in rules. A proof runs the same rules on a clock that is sixty times as fast."""

from dataclasses import dataclass

MINUTE = 60.0
HOUR = 60 * MINUTE
DAY = 24 * HOUR
_UNITS = (("d", DAY), ("h", HOUR), ("m", MINUTE), ("s", 1.0))


@dataclass(frozen=True)
class Clock:
    """pace: how many times as fast as a clock on a wall.

    patience: how many times as long as usual calls may take, on a machine that others use too.
    """

    pace: float = 1.0
    patience: float = 1.0

    def seconds(self, seconds: float) -> float:
        """By the wall's clock."""
        return seconds / self.pace

    def number(self, seconds: float) -> str:
        """By the wall's clock, to compare with: 129600."""
        return f"{self.seconds(seconds):.15g}"

    def span(self, seconds: float) -> str:
        """By the wall's clock, as Prometheus writes a duration: 36h."""
        return span(self.seconds(seconds))


def span(seconds: float) -> str:
    """The largest unit of which it is a whole number: 90m, 36h, 3d; milliseconds below a second."""
    for unit, size in _UNITS:
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return f"{max(1.0, seconds * 1000):.0f}ms"
