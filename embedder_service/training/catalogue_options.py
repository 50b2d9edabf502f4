"""Which catalogue a command reads, and how."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from embedder_service.training.read import AUTO, FORMATS

_Function = TypeVar("_Function", bound=Callable[..., Any])


def catalogue_options(function: _Function) -> _Function:
    """Gives a command `catalogue`, `format_name` and `no_boxes`."""
    for option in (
        click.option("--no-boxes", is_flag=True, help="Read photos whole where there are boxes."),
        click.option(
            "--format",
            "format_name",
            default=AUTO,
            show_default=True,
            type=click.Choice([AUTO, *FORMATS]),
            help="How the photos lie there.",
        ),
        click.argument("catalogue", type=click.Path(path_type=Path, exists=True)),
    ):
        function = option(function)
    return function
