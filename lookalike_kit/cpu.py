"""What this processor can do, and how much of it is ours."""

from __future__ import annotations

import math
import os
import platform
import random
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

# By Linux's names.
_X86 = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16")
_ARM = ("asimd", "sve", "bf16")
_BFLOAT16 = {"avx512_bf16", "amx_bf16", "bf16"}


def features(cpuinfo: Path = Path("/proc/cpuinfo")) -> tuple[str, ...]:
    """As ("x86_64", "avx2", "avx512f"); no more than the architecture where it cannot be read."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        lines = []
    said = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    flags = set(said.partition(":")[2].split())
    return platform.machine(), *(name for name in (*_X86, *_ARM) if name in flags)


def cores(limit: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """How many cores this process may use: by its affinity, and by its container's CPU limit."""
    allowed = len(os.sched_getaffinity(0))
    try:
        quota, period = map(int, limit.read_text().split())
    except (OSError, ValueError):  # no cgroups of version 2, or "max": no limit
        return allowed
    return max(1, min(allowed, math.ceil(quota / period)))


def threads() -> set[int]:
    """This process's, by the kernel's numbers."""
    return {int(task.name) for task in Path("/proc/self/task").iterdir()}


def keep_together(but: Collection[int]) -> int:
    """Has all threads but these, and those that they will start, run on one core; which.

    For threads that hold Python's lock most of their time: one runs at once anyway, and to hand
    the lock over to another core takes longer than much of what they do with it. The core is any,
    as other processes of the kind would choose the same first one.
    """
    core = random.choice(sorted(os.sched_getaffinity(0)))
    for thread in threads().difference(but):
        with suppress(ProcessLookupError):
            os.sched_setaffinity(thread, {core})
    return core


def has_bfloat16(names: tuple[str, ...]) -> bool:
    """Whether it multiplies in bfloat16 by instructions of its own: without them it is slower."""
    return not _BFLOAT16.isdisjoint(names)
