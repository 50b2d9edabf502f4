"""From the start of a process until it serves: its files read from the disk, or still in memory."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from lookalike_cli.processes import Running

# What an embedder reads beside its model, nearly all of it.
PACKAGES = ("torch", "torchvision", "openvino", "numpy", "PIL", "grpc", "safetensors")


def seconds_to_serving(start: Callable[[], Running]) -> float:
    began = time.perf_counter()
    with start() as running:
        seconds = time.perf_counter() - began
        running.terminate()
    return round(seconds, 2)


def package_folders() -> list[Path]:
    found = [find_spec(name) for name in PACKAGES]
    return [Path(each.origin).parent for each in found if each and each.origin]


def forget(folders: Sequence[Path], compiled: Path) -> None:
    """As on a machine that has just got these files: none in memory, no kernels compiled.

    Pages that a process has mapped stay; nobody else's files are touched.
    """
    shutil.rmtree(compiled, ignore_errors=True)
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file():
                _forget(path)


def _forget(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())  # what is not on the disk yet stays
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
