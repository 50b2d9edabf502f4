"""Whether a command will be able to leave its result, told before the work and not after."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click


def expect_writable(option: str, folder: Path) -> None:
    """Makes the folder where it is not there. Raises click.UsageError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise click.UsageError(
            f"{option}: expected a folder to write to, got {folder}: {error.strerror}"
        ) from error
