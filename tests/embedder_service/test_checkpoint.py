import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from embedder_service import checkpoint
from embedder_service.spec import ModelError

pytestmark = pytest.mark.torch


@pytest.fixture
def folder(model_folder: Path, tmp_path: Path) -> Path:
    """A copy that may be damaged."""
    return shutil.copytree(model_folder, tmp_path / model_folder.name)


def test_a_model_comes_back_as_it_was_saved(small_model, golden_photos, tmp_path):
    path = checkpoint.save(small_model, tmp_path, golden_photos, "# A model", {"top1": 0.5})
    loaded = checkpoint.load(path)

    assert path == tmp_path / small_model.space_id()
    assert loaded.space_id == loaded.model.space_id() == path.name
    assert loaded.spec == small_model.spec
    assert loaded.golden_photos == golden_photos
    assert loaded.scores == {"top1": 0.5}
    assert (path / "README.md").read_text() == "# A model"
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    again = checkpoint.embed_photos(loaded.model, golden_photos)
    assert np.allclose(again, loaded.golden_vectors, atol=1e-6)


def test_a_model_in_training_is_saved_as_it_will_serve(small_model, golden_photos, tmp_path):
    small_model.train()
    path = checkpoint.save(small_model, tmp_path, golden_photos, "")

    assert small_model.training
    assert not checkpoint.load(path).model.training
    small_model.eval()


def test_saving_a_space_again_replaces_its_folder(small_model, golden_photos, tmp_path):
    first = checkpoint.save(small_model, tmp_path, golden_photos, "first")
    second = checkpoint.save(small_model, tmp_path, golden_photos, "second")

    assert first == second
    assert (second / "README.md").read_text() == "second"
    assert [p.name for p in tmp_path.iterdir()] == [second.name]


def test_the_weights_alone_say_what_they_are(model_folder, small_model):
    with safetensors.safe_open(model_folder / "model.safetensors", "pt") as file:
        metadata = file.metadata()

    assert metadata["space_id"] == model_folder.name
    assert metadata["specification"] == small_model.spec.to_json()


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"expected a folder models/<space_id>, got no folder at"):
        checkpoint.load(tmp_path / "absent")


@pytest.mark.parametrize("name", ["model.json", "model.safetensors", "golden.npy"])
@pytest.mark.parametrize("damage", ["missing", "cut", "empty", "other"])
def test_a_missing_or_damaged_file_is_named(folder, name, damage):
    path = folder / name
    content = path.read_bytes()
    path.unlink()
    if damage != "missing":
        left = {"cut": content[:-20], "empty": b"", "other": b'{"schema": 99}'}[damage]
        path.write_bytes(left)

    with pytest.raises(ModelError, match=f"expected .*{name}"):
        checkpoint.load(folder)


def test_a_flipped_bit_is_another_space(folder):
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)

    with pytest.raises(ModelError, match=f"expected tensors of space {folder.name} in .*, got"):
        checkpoint.load(folder)


def test_tensors_of_another_shape_are_refused(folder, small_model):
    tensors = small_model.state_dict() | {"body.conv1.weight": torch.zeros(1)}
    safetensors.torch.save_file(tensors, folder / "model.safetensors")
    description = json.loads((folder / "model.json").read_text())
    description["space_id"] = checkpoint.space_id(small_model.spec, tensors)
    (folder / "model.json").write_text(json.dumps(description))

    with pytest.raises(ModelError, match=r"expected the tensors of its specification, got .*conv1"):
        checkpoint.load(folder)


def test_a_golden_photo_without_its_vector_is_refused(folder):
    (folder / "golden" / "02.jpg").unlink()

    with pytest.raises(ModelError, match=r"expected float32 2 x 512 in .*golden.npy"):
        checkpoint.load(folder)


def test_a_pickle_is_never_opened(folder):
    np.save(folder / "golden.npy", np.array([{}], dtype=object), allow_pickle=True)

    with pytest.raises(ModelError, match="expected golden vectors"):
        checkpoint.load(folder)
