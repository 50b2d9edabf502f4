"""`lookalike model`: compiled on a real model and served from there, published, listed."""

import io
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from PIL import Image

pytestmark = pytest.mark.torch


def drawn(number: int) -> bytes:
    colours = np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(colours).resize((96, 96), Image.Resampling.BICUBIC).save(file, "JPEG")
    return file.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from embedder_service import checkpoint
    from embedder_service.model import build
    from embedder_service.spec import ModelSpec, Preprocessing

    spec = ModelSpec(backbone="resnet18", preprocessing=Preprocessing(resize=48, crop=48))
    models = tmp_path_factory.mktemp("models")
    return checkpoint.save(build(spec), models, [drawn(100), drawn(101)], "small")


@pytest.fixture
def compile_model(lookalike_command: Callable[..., Result]) -> Callable[..., Result]:
    return partial(lookalike_command, "model", "compile")


def test_a_model_is_compiled_judged_on_drawn_photos_and_served_from_there(folder, compile_model):
    from embedder_service import checkpoint
    from embedder_service.config import EmbedderConfig
    from embedder_service.devices.choice import choose

    result = compile_model(folder, "--count", 12, "--max-batch", 2, "--json")

    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    figures = said["precisions"]["float32"]
    assert Path(said["artefact"]) == folder / "compiled" / "openvino-cpu"
    assert (figures["photos"], figures["accepted"], figures["agreement"]) == (12, True, 1)
    assert figures["error"] < 0.01
    assert figures["composition"] < 1e-5
    config = EmbedderConfig(
        model=folder, device="cpu", max_batch=2, engine="openvino", precision="float32"
    )
    assert choose(checkpoint.load(folder), config).artefact == "used"


def test_own_photos_judge_and_what_does_not_decode_is_left_out(folder, tmp_path, compile_model):
    for number in range(12):
        (tmp_path / f"{number:02}.jpg").write_bytes(drawn(number))
    (tmp_path / "05b.jpg").write_bytes(b"no photo")

    result = compile_model(folder, "--photos", tmp_path, "--max-batch", 2)

    assert result.exit_code == 0, result.output
    assert "left out:" in result.stderr
    assert "05b.jpg" in result.stderr
    assert "float32" in result.stdout
    assert "accepted" in result.stdout


def test_too_few_photos_are_refused(folder, tmp_path, compile_model):
    (tmp_path / "one.jpg").write_bytes(drawn(0))

    result = compile_model(folder, "--photos", tmp_path)

    assert result.exit_code == 1
    assert "photos: expected 11 or more, got 1" in result.output


def test_a_folder_without_a_model_is_refused(tmp_path, compile_model):
    result = compile_model(tmp_path)

    assert result.exit_code == 1
    assert "model.json" in result.output


def test_a_model_is_published_and_listed(folder, tmp_path, lookalike_command):
    store = tmp_path / "store"
    published = lookalike_command("model", "publish", folder, "--store", store, "--json")
    again = lookalike_command("model", "publish", folder, "--store", store)
    listed = lookalike_command("model", "list", store)
    as_json = lookalike_command("model", "list", store, "--json")

    assert json.loads(published.stdout)["is_new"] is True
    assert "already there" in again.output
    assert folder.name in listed.output
    assert "resnet18" in listed.output
    (model,) = json.loads(as_json.stdout)["models"]
    assert (model["space_id"], model["dimension"], model["side"]) == (folder.name, 512, 48)
    assert model["created"].endswith("Z")


def test_a_folder_that_is_no_model_is_not_published(tmp_path, lookalike_command):
    result = lookalike_command("model", "publish", tmp_path, "--store", tmp_path / "store")

    assert result.exit_code == 1
    assert f"model: expected model.json in {tmp_path}, got none\n" in result.output


def test_the_folder_of_all_models_is_refused_with_the_name_of_one(
    folder, tmp_path, lookalike_command
):
    result = lookalike_command("model", "publish", folder.parent, "--store", tmp_path / "store")

    assert result.exit_code == 1
    assert f"got none; name one of the models below it: {folder}" in result.output


def test_a_store_without_models_says_how_to_put_one_there(tmp_path, lookalike_command):
    listed = lookalike_command("model", "list", tmp_path)
    as_json = lookalike_command("model", "list", tmp_path, "--json")

    assert (listed.exit_code, listed.stdout) == (0, "")
    assert f"no models in {tmp_path / 'models'}: `lookalike model publish" in listed.stderr
    assert json.loads(as_json.stdout) == {"models": [], "damaged": []}
