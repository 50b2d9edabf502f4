"""For every test, before anything imports numpy."""

import os
from pathlib import Path

import pytest

# The tests' matrices are small and their processes many: a thread for each core in each of them
# made the search tier's tests half as slow again. Children inherit it.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """`-m "not torch"` leaves whole files of torch's alone: importing it takes ten seconds."""
    if config.option.markexpr != "not torch" or collection_path.suffix != ".py":
        return None
    return "pytestmark = pytest.mark.torch" in collection_path.read_text() or None
