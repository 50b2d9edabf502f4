"""Models in a store: checked before they go in, whole once they are there."""

import json
import shutil

import numpy as np
import pytest

from embedder_service.model_store import publish, stored_models
from embedder_service.spec import ModelError

pytestmark = pytest.mark.torch


@pytest.fixture
def own_folder(model_folder, tmp_path):
    return shutil.copytree(model_folder, tmp_path / "own")


def test_a_published_model_is_the_same_files_and_loads(model_folder, tmp_path):
    from embedder_service import checkpoint

    path, is_new = publish(model_folder, tmp_path)

    assert is_new
    assert path == tmp_path / "models" / model_folder.name
    assert checkpoint.load(path).space_id == path.name
    names = {file.relative_to(path) for file in path.rglob("*")}
    assert names == {file.relative_to(model_folder) for file in model_folder.rglob("*")}


def test_what_is_there_whole_stays_and_what_is_damaged_is_replaced(model_folder, tmp_path):
    path, _ = publish(model_folder, tmp_path)
    inode = path.stat().st_ino

    assert publish(model_folder, tmp_path) == (path, False)
    assert path.stat().st_ino == inode
    (path / "model.safetensors").write_bytes(b"torn")
    assert publish(model_folder, tmp_path) == (path, True)
    assert publish(model_folder, tmp_path) == (path, False)


def test_what_a_killed_publish_left_is_not_listed_and_goes_away(model_folder, tmp_path):
    left = tmp_path / "models" / ".publishing-torn" / "model.json"
    left.parent.mkdir(parents=True)
    left.write_text("{}")

    assert stored_models(tmp_path) == ([], [])
    publish(model_folder, tmp_path)
    assert not left.exists()


def test_golden_vectors_of_another_model_are_refused(own_folder, tmp_path):
    vectors = np.load(own_folder / "golden.npy")
    np.save(own_folder / "golden.npy", np.roll(vectors, 1, axis=0) * [-1])

    with pytest.raises(ModelError, match="golden"):
        publish(own_folder, tmp_path / "store")
    assert stored_models(tmp_path / "store") == ([], [])


def test_models_are_listed_newest_first_and_what_is_none_is_named(model_folder, tmp_path):
    path, _ = publish(model_folder, tmp_path)
    older = shutil.copytree(path, path.with_name("0" * 64))
    fields = json.loads((older / "model.json").read_text())
    fields |= {"space_id": older.name, "created": "2020-01-01T00:00:00Z"}
    (older / "model.json").write_text(json.dumps(fields))
    (path.parent / "stray").mkdir()

    models, problems = stored_models(tmp_path)

    assert [model.space_id for model in models] == [path.name, older.name]
    assert models[0].spec.backbone == "resnet18"
    assert len(problems) == 1
    assert "stray" in problems[0]
