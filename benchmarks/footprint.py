"""What a process holds, as Linux counts it."""

import os
from dataclasses import dataclass
from pathlib import Path

_TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Footprint:
    """At one moment."""

    maps: int
    removed_files_mapped: int
    descriptors: int
    threads: int
    anonymous_mb: float
    cpu_seconds: float

    @classmethod
    def of(cls, pid: int) -> "Footprint":
        process = Path(f"/proc/{pid}")
        status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        maps = (process / "maps").read_text().splitlines()
        times = (process / "stat").read_text().rpartition(")")[2].split()
        return cls(
            maps=len(maps),
            removed_files_mapped=sum(line.endswith("(deleted)") for line in maps),
            descriptors=len(list((process / "fd").iterdir())),
            threads=int(status["Threads"]),
            anonymous_mb=round(int(status["RssAnon"].split()[0]) / 1024, 1),
            cpu_seconds=(int(times[11]) + int(times[12])) * _TICK_SECONDS,
        )
