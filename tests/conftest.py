"""For every test, before anything imports numpy."""

import io
import itertools
import json
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lookalike_kit.logs import JsonLines
from proofs.authority import Authority, Secret

# The tests' matrices are small and their processes many: a thread for each core in each of them
# made the search tier's tests half as slow again. Children inherit it.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """`-m "not torch"` leaves whole files of torch's alone: importing it takes ten seconds."""
    if config.option.markexpr != "not torch" or collection_path.suffix != ".py":
        return None
    return "pytestmark = pytest.mark.torch" in collection_path.read_text() or None


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def secret(tmp_path) -> Callable[..., Secret]:
    """secret(crt=..., key=...): a mounted Secret, whose files are at its names."""
    numbers = itertools.count()
    return lambda **files: Secret(tmp_path / f"secret-{next(numbers)}", **files)


@pytest.fixture
def lines() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """What the kit logs of calls, from debug up."""
    text = io.StringIO()
    writer = logging.StreamHandler(text)
    writer.setFormatter(JsonLines("test"))
    loggers = [logging.getLogger(f"lookalike_kit.{name}") for name in ("interceptors", "call_log")]
    for logger in loggers:
        logger.addHandler(writer)
        logger.setLevel(logging.DEBUG)
    yield lambda: [json.loads(line) for line in text.getvalue().splitlines()]
    for logger in loggers:
        logger.removeHandler(writer)
        logger.setLevel(logging.NOTSET)
