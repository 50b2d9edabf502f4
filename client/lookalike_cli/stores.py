"""What verbs over a store share: the option that names it, one sentence for what is wrong."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from search_service.build import SourceError
from search_service.engines.opening import EngineMissing
from search_service.manifest import FormatError
from search_service.store import StoreError

Function = TypeVar("Function", bound=Callable[..., Any])


def _store_option(exists: bool, words: str) -> Callable[[Function], Function]:
    return click.option(
        "--store",
        required=True,
        type=click.Path(exists=exists, file_okay=False, path_type=Path),
        help=words,
    )


store_option = _store_option(True, "The store: the folder with indexes/ and blobs/.")
new_store_option = _store_option(False, "The store: its folder; made by the first publish.")


def saying_what_is_wrong(function: Function) -> Function:
    """Ends the command with the sentence that the store or the source has for it."""

    @wraps(function)
    def call(*args: object, **kwargs: object) -> object:
        try:
            return function(*args, **kwargs)
        except (EngineMissing, FormatError, SourceError, StoreError, OSError) as error:
            raise click.ClickException(_said(error)) from error

    return cast(Function, call)


def _said(error: Exception) -> str:
    """Without the number that Python puts first."""
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error)
