"""What a machine shared with others does not get of its own cores' time."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True)
class Clock:
    """The cores' time since the machine started, in ticks: what others took, and all of it."""

    stolen: int
    spent: int

    @classmethod
    def now(cls) -> Self:
        """Nothing stolen where Linux does not say."""
        try:
            first = Path("/proc/stat").read_text().split("\n", 1)[0]
        except OSError:
            return cls(0, 0)
        # proc(5): user nice system idle iowait irq softirq steal, and guests, counted in user.
        ticks = [int(each) for each in first.split()[1:9]]
        return cls(ticks[7], sum(ticks))

    def stolen_percent(self) -> float:
        """Since this moment."""
        now = Clock.now()
        return 100 * (now.stolen - self.stolen) / max(now.spent - self.spent, 1)
