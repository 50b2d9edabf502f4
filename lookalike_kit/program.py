"""A service as `python -m name`: --help, and one line for whatever keeps it from starting.

Standard library alone: it is here to say what is not installed.
"""

from __future__ import annotations

import os
import signal
import sys
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from lookalike_kit.config import ConfigError, Setting, describe, read

C = TypeVar("C")
Configuration = tuple[type[C], str, Sequence[str]]  # a class, its prefix, those of its siblings
_HELP = ("-h", "--help")


@dataclass(frozen=True)
class Program:
    """`extra` is what it is installed with; `purpose` a paragraph for its --help."""

    name: str
    extra: str
    purpose: str

    def main(
        self, configuration: Callable[[], Configuration[C]], serve: Callable[[C], None]
    ) -> int:
        """The exit code: 0 after a signal or --help, 2 if it cannot start as it is told.

        Both are called here and not before, so that what they import may be missing.
        """
        # As process 1 of a container a signal without a handler would be ignored while it loads.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        arguments = sys.argv[1:]
        if strange := [word for word in arguments if word not in _HELP]:
            return self._refuse(f"takes no arguments, got {' '.join(strange)}; see --help")
        try:
            kind, prefix, siblings = configuration()
            if arguments:
                sys.stdout.write(self._help(describe(kind, prefix)))
            else:
                serve(read(kind, prefix, os.environ, siblings))
        except ConfigError as error:
            return self._refuse(f"cannot start: {error}")
        except ModuleNotFoundError as error:
            if (error.name or "").startswith((self.name, "lookalike_kit")):
                raise  # ours, and no extra's
            return self._refuse(f"needs {error.name}: pip install '.[{self.extra}]' in a checkout")
        return 0

    def _refuse(self, why: str) -> int:
        sys.stderr.write(f"{self.name} {why}\n")
        return 2

    def _help(self, settings: Sequence[Setting]) -> str:
        return "\n".join(
            (
                f"usage: python -m {self.name}",
                "",
                textwrap.fill(self.purpose, 79),
                "",
                "It takes no arguments. These variables of the environment tell it what to do;",
                "docs/configuration.md has them as a table:",
                "",
                *(_shown(each) for each in sorted(settings, key=lambda each: not each.required)),
                "",
                "It ends with exit code 0 after SIGTERM or SIGINT, 1 after a failure and 2 if it",
                "cannot start as it is told.",
                "",
            )
        )


def _shown(setting: Setting) -> str:
    default = "required" if setting.required else f"default {setting.default or 'empty'}"
    text = f"{setting.doc} ({setting.type}; {default})"
    return f"  {setting.name}\n{textwrap.indent(textwrap.fill(text, 71), ' ' * 8)}"
