"""`lookalike up` with both real services."""

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from lookalike_cli.verbs import lookalike
from lookalike_client import Client, NotFound
from PIL import Image

from proofs.family import children

pytest.importorskip("torch")
pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    from embedder_service import checkpoint, model
    from embedder_service.spec import ModelSpec, Preprocessing

    def photo(colour):
        file = io.BytesIO()
        Image.linear_gradient("L").convert("RGB").point(lambda v: v * colour // 255).save(
            file, "JPEG"
        )
        return file.getvalue()

    folder = tmp_path_factory.mktemp("store")
    spec = ModelSpec(
        backbone="resnet18", head="pooling", preprocessing=Preprocessing(resize=32, crop=32)
    )
    checkpoint.save(model.build(spec), folder / "models", [photo(40), photo(255)], "For a test.")
    return folder


@pytest.fixture
def up(store, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "lookalike_cli", "up", store, "--free-ports", "--json"],
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    yield process
    process.terminate()
    process.communicate()


def test_it_serves_and_is_found_until_it_is_told_to_stop(up, store):
    told = _told(up)
    with Client(embedder=told["embedder"]["address"], search=told["search"]["address"]) as client:
        assert client.info().space_id == told["space_id"]
        assert list(client.indexes()) == []
    shown = CliRunner().invoke(lookalike, ["status", "--up", str(store), "--seconds", "0"])
    assert shown.exit_code == 0, shown.output
    assert {told["embedder"]["address"], told["search"]["address"]} <= set(shown.output.split())

    told_of = _explained(told, store)
    assert "Embed: OK in" in told_of
    assert "Search: NOT_FOUND UNKNOWN_INDEX in" in told_of

    up.send_signal(signal.SIGINT)

    assert up.wait() == 0
    assert not (store / "up.json").exists()
    assert "stopped" in (store / "logs" / "search.log").read_text()
    assert "stopped" in (store / "logs" / "embedder.log").read_text()


def test_it_ends_when_a_service_dies_and_says_which(up, store):
    told = _told(up)
    os.kill(_child(told["pid"], b"search_service"), signal.SIGKILL)

    _, said = up.communicate()

    assert up.returncode == 1
    assert "search_service ended with exit code -9" in said
    assert not (store / "up.json").exists()


def _explained(told, store):
    """What the logs of both say of a question about an index that is not there."""
    file = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").save(file, "JPEG")
    ports = {name: told[name]["address"] for name in ("embedder", "search")}
    with Client(**ports, deadline_seconds=30) as client, pytest.raises(NotFound):
        client.similar("dresses", file.getvalue(), request_id="order-17")
    return CliRunner().invoke(lookalike, ["explain", "order-17", "--up", str(store)]).output


def _told(up):
    line = up.stdout.readline()
    assert line, up.stderr.read()
    return json.loads(line)


def _child(parent, module):
    for child in children(parent):
        if module in Path(f"/proc/{child}/cmdline").read_bytes():
            return child
    raise AssertionError(f"{parent} has no child {module}")
