"""docs/calling.md does what it says: every example in it runs, against the client's fakes."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import lookalike_client
import pytest
from lookalike_client import LookalikeError
from lookalike_client.testing import FakeServices

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "calling.md").read_text("utf-8")
NODE = ROOT / "docs" / "examples" / "node"
PHOTO = b"the bytes of a photo"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def services():
    with FakeServices(index="dresses") as fakes:
        fakes.add("d-1", {"d-1/front.jpg": PHOTO}, colour="red")
        fakes.add("d-2", {"d-2/front.jpg": b"another"}, colour="red")
        fakes.add("d-3", {"d-3/front.jpg": b"a third"}, colour="blue", price=30.0)
        yield fakes


@pytest.fixture
def run(services, tmp_path):
    """Runs words with a block at their end, as the page has it but for the ports."""
    (tmp_path / "photo.jpg").write_bytes(PHOTO)

    def run(block, *words, cwd=tmp_path):
        block = block.replace("127.0.0.1:50051", services.embedder_address)
        block = block.replace("127.0.0.1:50061", services.search_address)
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            [*words, block],
            cwd=cwd,
            env={**os.environ, "PATH": path},
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_the_page_has_the_examples_that_are_run_here():
    # One more, tritonclient's, by tests/system/test_embedder_process.py.
    assert (len(blocks("python")), len(blocks("js")), len(blocks("sh"))) == (6 + 1, 1, 1)


@pytest.mark.parametrize(
    ("place", "printed"),
    [
        (0, "d-1 d-1/front.jpg 1.0\n"),
        (1, "from generation 1\n"),
        (2, "['d-3'] fewer_exist\n['d-2', 'd-3']\n"),
        (3, "NOT_FOUND UNKNOWN_INDEX index: expected dresses, got 'shoes' request "),
        (4, "[('d-1', 1.0)"),
        (6, ""),
    ],
)
def test_a_python_example_runs_without_a_warning(run, place, printed):
    shown = run(blocks("python")[place], sys.executable, "-W", "error", "-c")

    assert printed in shown


@pytest.mark.skipif(not shutil.which("npm"), reason="node and npm are not installed")
def test_the_node_example_runs(run):
    folder = _with_node_modules()
    (folder / "photo.jpg").write_bytes(PHOTO)

    shown = run(blocks("js")[0], "node", "--input-type=module", "--eval", cwd=folder)

    assert shown.splitlines()[0] == "d-1 1.000"
    assert shown.splitlines()[-1] == "NOT_FOUND index: expected dresses, got 'shoes'"


def test_the_shell_example_runs(run):
    shown = run(blocks("sh")[0], "sh", "-c", cwd=ROOT)

    assert '"itemId": "d-2"' in shown or '"itemId":"d-2"' in shown


def test_the_page_names_every_error():
    for name in lookalike_client.__all__:
        kind = getattr(lookalike_client, name)
        if isinstance(kind, type) and issubclass(kind, LookalikeError):
            assert f"`{name}`" in PAGE


def test_the_lock_names_no_registry():
    assert '"resolved"' not in (NODE / "package-lock.json").read_text()


def _with_node_modules() -> Path:
    """A project as the page tells Node users to make it; installed once for each lock."""
    lock = hashlib.sha256((NODE / "package-lock.json").read_bytes()).hexdigest()[:16]
    folder = ROOT / "build" / "node-example" / lock
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "node_modules" / ".package-lock.json").exists():
        for name in ("package.json", "package-lock.json"):
            shutil.copy(NODE / name, folder)
        words = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        subprocess.run(words, cwd=folder, check=True, capture_output=True)
    shutil.copytree(ROOT / "protos", folder / "protos", dirs_exist_ok=True)
    shutil.copy(ROOT / "client" / "lookalike_client" / "service_config.json", folder)
    return folder
