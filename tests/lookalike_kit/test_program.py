"""`python -m` of a service, as processes: what it says before it serves."""

import subprocess
import sys

import pytest

PROGRAM = """
import sys
from dataclasses import dataclass
from lookalike_kit.config import ConfigError, setting
from lookalike_kit.program import Program

@dataclass(frozen=True, kw_only=True)
class Config:
    seats: int = setting(4, minimum=1, doc="How many sit at once.")
    store: str = setting(doc="Where it is.")
    needs: str = setting("", doc="What is imported.")

def serve(config):
    if config.needs:
        __import__(config.needs)
    raise ConfigError(f"store: expected another, got {config.store}")

program = Program("kiosk", "sweets", "Sells sweets.")
sys.exit(program.main(lambda: (Config, "LOOKALIKE_KIOSK_", ()), serve))
"""


def run(*arguments: str, **settings: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        env={f"LOOKALIKE_KIOSK_{name}": value for name, value in settings.items()},
        check=False,
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("word", ["-h", "--help"])
def test_help_says_what_it_is_and_what_it_is_told_the_required_first(word):
    code, shown, told = run(word)

    assert (code, told) == (0, "")
    assert shown.startswith("usage: python -m kiosk\n\nSells sweets.\n")
    assert "docs/configuration.md" in shown
    store = "LOOKALIKE_KIOSK_STORE\n        Where it is. (text; required)\n"
    seats = "LOOKALIKE_KIOSK_SEATS\n        How many sit at once. (a whole number of at least 1;"
    assert shown.index(store) < shown.index(seats)


def test_an_argument_is_refused_by_name():
    assert run("--seats", "9") == (
        2,
        "",
        "kiosk takes no arguments, got --seats 9; see --help\n",
    )


def test_what_keeps_it_from_starting_is_one_line():
    assert run() == (
        2,
        "",
        "kiosk cannot start: LOOKALIKE_KIOSK_STORE: expected text, got nothing\n",
    )
    assert run(STORE="a") == (2, "", "kiosk cannot start: store: expected another, got a\n")


def test_what_is_not_installed_is_told_with_its_extra_but_a_fault_of_ours_is_not():
    assert run(STORE="a", NEEDS="nougat") == (
        2,
        "",
        "kiosk needs nougat: pip install '.[sweets]' in a checkout\n",
    )
    assert "ModuleNotFoundError" in run(STORE="a", NEEDS="lookalike_kit.nougat")[2]
