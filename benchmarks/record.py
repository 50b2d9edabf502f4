"""What a benchmark leaves: a table for people, one JSON line, and a file that names the machine."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    cells = [[_cell(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    print(f"\n{title}")
    for row in [list(columns), *cells]:
        print("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))


def record(
    name: str,
    figures: Mapping[str, object],
    *,
    is_full_size: bool,
    packages: Sequence[str] = ("annoy", "usearch", "numpy", "grpcio"),
) -> None:
    """Prints the last line; keeps it under results/ where it was measured at full size.

    packages: those whose versions the figures depend on.
    """
    line = {
        "benchmark": name,
        **figures,
        "machine": machine(),
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "versions": {each: _version(each) for each in packages},
    }
    if is_full_size:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{name}.json").write_text(json.dumps(line, indent=1) + "\n")
    print(json.dumps(line))


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def machine() -> str:
    """Its processor, and how many cores of it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(": ")[1] for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        model = platform.processor()
    return f"{model}, {os.cpu_count()} cores"


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
