"""`python -m embedder_service.training`, from drawing to a model folder that loads."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from embedder_service import checkpoint
from embedder_service.training.__main__ import main

pytestmark = pytest.mark.torch


def test_a_catalogue_is_drawn(tmp_path: Path):
    arguments = ["sample", str(tmp_path), "--items", "2", "--photos-per-item", "3", "--side", "64"]
    result = CliRunner().invoke(main, arguments)

    assert result.exit_code == 0, result.output
    assert "6 photos of 2 items" in result.output
    assert len(list(tmp_path.rglob("*.jpg"))) == 6


def test_a_model_folder_comes_out_and_loads(tiny_folder: Path, tmp_path: Path):
    options = ["--backbone=resnet18", "--weights=none", "--side=48", "--epochs=1", "--batch=8"]
    models = tmp_path / "models"
    result = CliRunner().invoke(
        main,
        [
            "finetune",
            str(tiny_folder),
            *("--models", str(models), "--run-folder", str(tmp_path / "run")),
            *options,
        ],
    )

    assert result.exit_code == 0, result.output
    (folder,) = models.iterdir()
    loaded = checkpoint.load(folder)
    assert loaded.space_id == folder.name
    assert len(loaded.golden_photos) == 8
    assert "item_recall_at_1" in loaded.scores
    assert "# resnet18, recipe `retrieval`" in (folder / "README.md").read_text()
    assert "train_loss" in result.output
    assert {path.name for path in (tmp_path / "run").iterdir()} >= {"curves.png", "metrics.jsonl"}
    assert str(folder) in result.output.replace("\n", "")


def test_a_table_of_photos_is_learnt_from_as_well(tiny_folder: Path, tmp_path: Path):
    names = sorted(path.relative_to(tiny_folder) for path in tiny_folder.rglob("*.jpg"))
    rows = [f"{name},{name.parent.name},8 8 88 88,9" for name in names]
    table = tiny_folder / "photos.csv"
    table.write_text("\n".join(["path,item_id,box,price", *rows]))
    options = ["--backbone=resnet18", "--weights=none", "--side=32", "--epochs=1", "--batch=8"]
    places = ["--models", str(tmp_path / "models"), "--run-folder", str(tmp_path / "run")]
    result = CliRunner().invoke(main, ["finetune", str(table), *places, *options])
    table.unlink()

    assert result.exit_code == 0, result.output
    assert "note: columns that are not used: price" in result.output


def test_photos_without_labels_are_learnt_from_and_judged_by_nothing(
    tiny_folder: Path, tmp_path: Path
):
    lone = tmp_path / "lone"
    lone.mkdir()
    for number, path in enumerate(sorted(tiny_folder.rglob("*.jpg"))[:20]):
        (lone / f"{number}.jpg").write_bytes(path.read_bytes())
    options = ["--backbone=resnet18", "--weights=none", "--side=32", "--epochs=1", "--batch=8"]
    places = ["--models", str(tmp_path / "models"), "--run-folder", str(tmp_path / "run")]
    result = CliRunner().invoke(main, ["finetune", str(lone), *places, *options])

    assert result.exit_code == 0, result.output
    assert "no figures: no two photos are known to show one item or one class" in result.output
    assert (tmp_path / "run" / "curves.png").exists()


@pytest.mark.parametrize("option", ["models", "run-folder"])
def test_a_place_that_takes_nothing_is_refused_before_the_training(
    tiny_folder: Path, tmp_path: Path, option: str
):
    taken = tmp_path / "taken"
    taken.touch()
    places = {"models": tmp_path / "models", "run-folder": tmp_path / "run", option: taken / "in"}
    options = [f"--{name}={place}" for name, place in places.items()]
    result = CliRunner().invoke(main, ["finetune", str(tiny_folder), "--weights=none", *options])

    assert result.exit_code == 2
    assert f"{option}: expected a folder to write to, got {taken / 'in'}" in result.output
    assert "epoch" not in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sample", "out", "--items", "0"], "items: expected at least 1, got 0"),
        (["finetune", "{empty}"], "expected JPEG, PNG or WebP files below"),
        (["finetune", "{empty}", "--epochs", "0"], "epochs: expected at least 1, got 0"),
    ],
)
def test_bad_input_is_named_and_stops_with_status_2(
    tmp_path: Path, arguments: list[str], message: str
):
    arguments = [argument.format(empty=tmp_path) for argument in arguments]
    result = CliRunner().invoke(main, arguments)

    assert result.exit_code == 2
    assert message in result.output
