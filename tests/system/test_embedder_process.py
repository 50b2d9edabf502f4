"""`python -m embedder_service`: one real process from its start to its end."""

import hashlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from lookalike.embedder.v1 import embedder_pb2 as pb
from lookalike.embedder.v1 import embedder_pb2_grpc as pb_grpc
from PIL import Image

ROOT = Path(__file__).parents[2]
SERVICE = "lookalike.embedder.v1.EmbedderService"
PORTS = {
    f"LOOKALIKE_EMBEDDER_{name}": "127.0.0.1:0"
    for name in ("ADDRESS", "ADMIN_ADDRESS", "METRICS_ADDRESS")
}


def photo(angle: int) -> bytes:
    file = io.BytesIO()
    Image.linear_gradient("L").rotate(angle).convert("RGB").save(file, "JPEG")
    return file.getvalue()


def start(**settings: object) -> subprocess.Popen[str]:
    named = {f"LOOKALIKE_EMBEDDER_{name.upper()}": str(value) for name, value in settings.items()}
    clean = {name: v for name, v in os.environ.items() if not name.startswith("LOOKALIKE_")}
    return subprocess.Popen(
        [sys.executable, "-m", "embedder_service"],
        env={**clean, **PORTS, **named},
        stderr=subprocess.PIPE,
        text=True,
    )


@dataclass
class Running:
    process: subprocess.Popen[str]
    serving: dict[str, Any]

    def health(self, service: str) -> int:
        with grpc.insecure_channel(self.serving["admin_address"]) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            return stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=20).status


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("torch")
    from embedder_service import checkpoint
    from embedder_service.model import build
    from embedder_service.spec import ModelSpec, Preprocessing

    spec = ModelSpec(
        backbone="resnet18", head="pooling", preprocessing=Preprocessing(resize=32, crop=32)
    )
    photos = [photo(0), photo(90)]
    return checkpoint.save(build(spec), tmp_path_factory.mktemp("models"), photos, "For a test.")


@pytest.fixture(scope="module")
def running(model_folder: Path) -> Iterator[Running]:
    process = start(model=model_folder, drain_seconds=0.2, max_batch=4)
    assert process.stderr is not None
    for line in process.stderr:
        if json.loads(line)["event"] == "serving":
            yield Running(process, json.loads(line))
            break
    process.kill()
    process.communicate()


@pytest.fixture(scope="module")
def triton() -> Path:
    """The interpreter of tritonclient's own environment; installed once for each lock."""
    lock = ROOT / "requirements" / "triton.txt"
    folder = ROOT / "build" / "triton" / hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
    uv = Path(sys.executable).parent / "uv"
    if not (folder / "installed").exists():
        subprocess.run(
            [uv, "venv", "--quiet", "--clear", "--python", sys.executable, folder], check=True
        )
        subprocess.run(
            [uv, "pip", "sync", "--quiet", "--require-hashes", lock],
            env={**os.environ, "VIRTUAL_ENV": str(folder)},
            check=True,
        )
        (folder / "installed").touch()
    return folder / "bin" / "python"


def shown(*words: object, cwd: Path | None = None) -> str:
    done = subprocess.run(words, cwd=cwd, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.torch
def test_tritonclient_is_answered_in_both_forms(running, triton, tmp_path, model_folder):
    (tmp_path / "good.jpg").write_bytes(photo(30))
    (tmp_path / "bad.jpg").write_bytes(b"no image")
    script = Path(__file__).parent / "triton_calls.py"
    files = (tmp_path / "good.jpg", tmp_path / "bad.jpg")
    seen = json.loads(shown(triton, script, running.serving["address"], *files))
    with grpc.insecure_channel(running.serving["address"]) as channel:
        request = pb.EmbedRequest(images=[pb.Image(content=photo(30))])
        ours = pb_grpc.EmbedderServiceStub(channel).Embed(request).results[0].embeddings[0]
    expected = np.frombuffer(ours.values, "<f4")

    space = model_folder.name
    assert (seen["live"], seen["ready"], seen["server"]) == (
        [True, True],
        True,
        "lookalike-embedder",
    )
    assert seen["inputs"] == [["images", "BYTES", [-1]]]
    assert seen["outputs"] == [["embeddings", "FP32", [-1, len(expected)]]]
    assert seen["versions"] == [space] == [ours.space_id]
    assert seen["answered"] == ["call-7", space]
    for vectors in (seen["raw"], np.reshape(seen["typed"], (2, -1)), seen["bulk"]):
        assert np.abs(np.float32(vectors) - expected).max() < 1e-5
    assert len(seen["raw"]) == 2
    assert seen["bad"][0] == "StatusCode.INVALID_ARGUMENT"
    assert "got others at 1: [1] content: expected a JPEG, PNG or WebP file" in seen["bad"][1]
    assert seen["late"][1] == "parameters: expected priority, others are not supported, got timeout"
    assert seen["unknown"][0] == "StatusCode.NOT_FOUND"


@pytest.mark.torch
def test_the_page_s_example_for_tritonclient_runs(running, triton, tmp_path, model_folder):
    page = (ROOT / "docs" / "calling.md").read_text("utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    [example] = [block for block in blocks if "tritonclient" in block]
    (tmp_path / "photo.jpg").write_bytes(photo(30))

    example = example.replace("127.0.0.1:50051", running.serving["address"])

    printed = shown(triton, "-W", "error", "-c", example, cwd=tmp_path)
    assert printed == f"(1, 512) {model_folder.name}\n"


@pytest.mark.torch
def test_it_is_healthy_it_embeds_and_it_leaves_when_asked(running):
    assert running.health("") == health_pb2.HealthCheckResponse.SERVING
    assert running.health(SERVICE) == health_pb2.HealthCheckResponse.SERVING

    with grpc.insecure_channel(running.serving["address"]) as channel:
        stub = pb_grpc.EmbedderServiceStub(channel)
        images = [pb.Image(content=content) for content in (photo(0), b"no image", photo(45))]
        answer = stub.Embed(pb.EmbedRequest(images=images), timeout=20)
    assert [len(result.embeddings) for result in answer.results] == [1, 0, 1]

    address = running.serving["metrics_address"]
    with urllib.request.urlopen(f"http://{address}/metrics") as page:
        metrics = page.read().decode()
    assert 'lookalike_embedder_images_total{result="ok"}' in metrics
    assert 'grpc_code="OK",grpc_method="Embed"' in metrics

    running.process.send_signal(signal.SIGTERM)
    _, log = running.process.communicate(timeout=30)
    assert running.process.returncode == 0
    events = [json.loads(line)["event"] for line in log.splitlines()]
    # Before them some calls have a line: those sampled by their ids.
    assert [event for event in events if event != "call"] == ["stopping", "stopped"]


@pytest.mark.torch
def test_a_missing_or_damaged_model_is_told_in_one_line(model_folder, tmp_path):
    damaged = shutil.copytree(model_folder, tmp_path / "damaged")
    (damaged / "model.safetensors").write_bytes(b"not tensors")
    processes = [start(model=tmp_path / "absent"), start(model=damaged)]
    told = [process.communicate(timeout=120)[1] for process in processes]

    assert [process.returncode for process in processes] == [2, 2]
    assert told[0] == (
        "embedder_service cannot start: model: expected a folder models/<space_id>, "
        f"got no folder at {tmp_path / 'absent'}\n"
    )
    assert told[1].startswith("embedder_service cannot start: model: expected safetensors in")
    assert told[1].count("\n") == 1


def test_mistyped_variables_are_told_before_anything_is_loaded():
    process = start(modle="x", max_batch="many")
    _, told = process.communicate(timeout=60)

    assert process.returncode == 2
    assert told.splitlines() == [
        (
            "embedder_service cannot start: LOOKALIKE_EMBEDDER_MODLE: unknown setting, "
            "did you mean LOOKALIKE_EMBEDDER_MODEL?"
        ),
        "LOOKALIKE_EMBEDDER_MODEL: expected a path, got nothing",
        "LOOKALIKE_EMBEDDER_MAX_BATCH: expected a whole number from 1 to 1024, got 'many'",
    ]
