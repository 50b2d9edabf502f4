import json
from pathlib import Path

import pytest

from embedder_service import artefact
from embedder_service.acceptance import Figures
from embedder_service.artefact import Unusable

KIND = "openvino-cpu"
MADE_WITH = {"openvino": "2026.4.1", "cpu": "x86_64 avx2"}
FIGURES = Figures(
    photos=20, cosine=0.9999, error=0.02, mean_error=0.01, agreement=0.995, composition=0.0
)


def fill(folder: Path) -> None:
    (folder / "model.xml").write_text("<net/>")
    (folder / "model.bin").write_bytes(bytes(range(256)))


@pytest.fixture
def folder(tmp_path) -> Path:
    return artefact.write(tmp_path, KIND, "space", MADE_WITH, {"bfloat16": FIGURES}, fill)


def read(model: Path, space: str = "space", made_with: dict[str, str] = MADE_WITH):
    return artefact.read(model, KIND, space, made_with)


def test_what_was_written_is_read(tmp_path, folder):
    found = read(tmp_path)

    assert found.folder == folder == tmp_path / "compiled" / KIND
    assert found.figures == {"bfloat16": FIGURES}
    assert (found.folder / "model.bin").read_bytes() == bytes(range(256))


def test_a_model_without_one_says_so(tmp_path):
    with pytest.raises(Unusable) as error:
        read(tmp_path)

    assert error.value.state == "none"


@pytest.mark.parametrize(
    ("space", "made_with"),
    [
        ("another", MADE_WITH),
        ("space", {**MADE_WITH, "openvino": "2027.1.0"}),
        ("space", {**MADE_WITH, "cpu": "x86_64 avx2 avx512f"}),
    ],
)
def test_one_made_with_something_else_is_foreign(tmp_path, folder, space, made_with):
    with pytest.raises(Unusable, match=r"expected .*, got") as error:
        read(tmp_path, space, made_with)

    assert error.value.state == "foreign"


def test_a_changed_byte_is_damage(tmp_path, folder):
    content = bytearray((folder / "model.bin").read_bytes())
    content[100] ^= 1
    (folder / "model.bin").write_bytes(content)

    with pytest.raises(Unusable, match=r"model\.bin as it was made") as error:
        read(tmp_path)
    assert error.value.state == "damaged"


@pytest.mark.parametrize(
    "description",
    ["", "[]", "{}", '{"schema": 1, "space_id": "space", "made_with": {}}', "null"],
)
def test_a_description_that_is_not_one_is_damage(tmp_path, folder, description):
    (folder / "artefact.json").write_text(description)

    with pytest.raises(Unusable) as error:
        read(tmp_path)
    assert error.value.state == "damaged"


def test_a_missing_file_is_damage(tmp_path, folder):
    (folder / "model.xml").unlink()

    with pytest.raises(Unusable) as error:
        read(tmp_path)
    assert error.value.state == "damaged"


def test_a_description_cannot_point_outside_its_folder(tmp_path, folder):
    secret = tmp_path / "secret"
    secret.write_text("x")
    description = json.loads((folder / "artefact.json").read_text())
    description["files"] = {"../../secret": artefact._facts(secret)}
    (folder / "artefact.json").write_text(json.dumps(description))

    with pytest.raises(Unusable):
        read(tmp_path)


def test_one_that_could_not_be_made_leaves_the_old_one(tmp_path, folder):
    def fail(_: Path) -> None:
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        artefact.write(tmp_path, KIND, "space", MADE_WITH, {}, fail)

    assert read(tmp_path).folder == folder
    assert [path.name for path in (tmp_path / "compiled").iterdir()] == [KIND]


def test_a_new_one_replaces_the_old_one(tmp_path, folder):
    artefact.write(tmp_path, KIND, "space", MADE_WITH, {}, fill)

    assert read(tmp_path).figures == {}
    assert [path.name for path in (tmp_path / "compiled").iterdir()] == [KIND]
