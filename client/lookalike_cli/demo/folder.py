"""The demo's own folder. It empties parts of it at the start, so it has to be nobody else's."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from lookalike_cli.addresses import Up

MARK = ".lookalike-demo"


@contextmanager
def claimed(out: Path) -> Iterator[None]:
    """Makes the folder, or takes one that an earlier demo made, for as long as this one runs.

    Raises ClickException: it holds something else, or something runs over it.
    """
    if out.is_dir() and any(out.iterdir()) and not (out / MARK).exists():
        raise click.ClickException(
            f"out: expected a new or empty folder, or one that a demo made, got {out}"
        )
    if (process := Up.process(out)) is not None:
        raise click.ClickException(
            f"out: expected no `lookalike up` over {out}, got one that runs (process {process})"
        )
    out.mkdir(parents=True, exist_ok=True)
    with (out / MARK).open("w") as mark:
        try:
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise click.ClickException(
                f"out: expected no other demo in {out}, got one that runs"
            ) from None
        yield
