import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent

Install = Callable[..., Path]


def uv(*words: object, **settings: str) -> str:
    command = [str(BIN / "uv"), "--quiet", *(str(word) for word in words)]
    # No setting of the environment we run in may leak into the ones we make.
    environment = {**os.environ, "VIRTUAL_ENV": "", **settings}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def wheel(tmp_path_factory) -> Path:
    """The wheel, built from this working tree."""
    out = tmp_path_factory.mktemp("wheel")
    # This interpreter's hatchling, which the lock file pins.
    uv("build", "--wheel", "--no-build-isolation", "--python", sys.executable, "--out-dir", out)
    [built] = out.glob("*.whl")
    return built


@pytest.fixture
def install(wheel, tmp_path) -> Install:
    """A fresh environment with the wheel and an extra of it; its interpreter."""

    def install(extra: str = "", *options: str) -> Path:
        python = tmp_path / "venv" / "bin" / "python"
        uv("venv", "--python", sys.executable, tmp_path / "venv")
        requirement = f"lookalike{extra} @ {wheel.as_uri()}"
        uv("pip", "install", "--python", python, *options, requirement)
        return python

    yield install
    shutil.rmtree(tmp_path / "venv", ignore_errors=True)
