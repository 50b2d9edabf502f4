"""How much memory a process may still take: the machine's, or the container's where it has less."""

from pathlib import Path

_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")


def available_memory_bytes() -> int | None:
    """Free memory and page cache that gives way; None where the system does not say."""
    known = [each for each in (_machine(), _container()) if each is not None]
    return min(known, default=None)


def _machine() -> int | None:
    try:
        lines = _MEMINFO.read_text().splitlines()
    except OSError:
        return None
    found = (line.split()[1] for line in lines if line.startswith("MemAvailable:"))
    return next((int(kilobytes) * 1024 for kilobytes in found), None)


def _container() -> int | None:
    """The limit of cgroup v2 less what is used; file pages give way, so they do not count."""
    try:
        limit = (_CGROUP / "memory.max").read_text().strip()
        used = int((_CGROUP / "memory.current").read_text())
        stat = dict(line.split() for line in (_CGROUP / "memory.stat").read_text().splitlines())
    except OSError:
        return None
    if limit == "max":
        return None
    return int(limit) - used + int(stat.get("file", 0))
