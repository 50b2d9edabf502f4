"""A training's folder: the same training goes on, another is refused, damage is named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from embedder_service.spec import ModelError
from embedder_service.training.data import Catalogue
from embedder_service.training.epochs import Epoch
from embedder_service.training.finetune import FinetuneSettings, finetune
from embedder_service.training.run import Run

pytestmark = pytest.mark.torch

SETTINGS = FinetuneSettings(weights="none", side=32, epochs=2, batch=8, dimension=16)


@pytest.fixture(scope="module")
def done(tiny: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    run = Run(folder)
    run.begin(tiny, SETTINGS, restart=False)
    finetune(tiny, SETTINGS, keeper=run)
    return folder


def test_an_epoch_leaves_its_line_its_curves_and_its_events(done: Path):
    names = {path.name.partition(".")[0] for path in done.iterdir()}

    assert names == {"settings", "state", "metrics", "curves", "events"}
    assert len((done / "metrics.jsonl").read_text().splitlines()) == 2
    assert (done / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_tensorboard_reads_the_events(done: Path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(max(done.glob("events.*"))))
    board.Reload()

    assert [event.step for event in board.Scalars("train_loss")] == [2]


def test_what_is_done_is_not_trained_again(tiny: Catalogue, done: Path):
    epochs: list[Epoch] = []
    said: list[str] = []
    finetune(tiny, SETTINGS, epochs.append, pytest.fail, said.append, keeper=Run(done))

    assert [epoch.number for epoch in epochs] == [1, 2]
    assert said == ["2 of 2 epochs are done already"]


def test_how_it_is_run_may_change(tiny: Catalogue, done: Path):
    Run(done).begin(tiny, replace(SETTINGS, threads=3, memory_bytes=0), restart=False)


def test_another_training_is_refused(tiny: Catalogue, done: Path):
    with pytest.raises(ModelError, match="a training of epochs 3, got one of 2: name another"):
        Run(done).begin(tiny, replace(SETTINGS, epochs=3), restart=False)
    with pytest.raises(ModelError, match="a training of catalogue"):
        Run(done).begin(Catalogue(tiny.folder, tiny.photos[1:]), SETTINGS, restart=False)


def test_a_training_that_ended_before_its_first_epoch_gives_way(tiny: Catalogue, tmp_path: Path):
    run = Run(tmp_path)
    run.begin(tiny, replace(SETTINGS, weights="mistyped.pth"), restart=False)
    run.begin(tiny, SETTINGS, restart=False)
    (tmp_path / "state.safetensors").touch()

    run.begin(tiny, SETTINGS, restart=False)
    with pytest.raises(ModelError, match=r"weights mistyped\.pth, got one of none"):
        run.begin(tiny, replace(SETTINGS, weights="mistyped.pth"), restart=False)


def test_a_restart_forgets(tiny: Catalogue, tmp_path: Path):
    run = Run(tmp_path)
    run.begin(tiny, SETTINGS, restart=False)
    (tmp_path / "metrics.jsonl").write_text("{}\n")
    (tmp_path / "notes.txt").write_text("mine")
    run.begin(tiny, replace(SETTINGS, epochs=3), restart=True)

    assert {path.name for path in tmp_path.iterdir()} == {"settings.json", "notes.txt"}


def test_a_damaged_state_is_named(tiny: Catalogue, tmp_path: Path):
    (tmp_path / "state.safetensors").write_bytes(b"torn")

    with pytest.raises(ModelError, match=r"expected a training's state in .*state\.safetensors"):
        finetune(tiny, SETTINGS, keeper=Run(tmp_path))


def test_early_stopping_keeps_the_best_epochs_weights(tiny: Catalogue, tmp_path: Path):
    # At such a rate nothing is learnt, and nothing gets better.
    settings = replace(SETTINGS, epochs=40, patience=1, rate=1e-9)
    run = Run(tmp_path)
    run.begin(tiny, settings, restart=False)
    epochs: list[Epoch] = []
    model = finetune(tiny, settings, epochs.append, keeper=run)

    best = max(epochs, key=lambda epoch: epoch.merit)
    assert epochs[-1].number == best.number + 1 < 40
    weights = model.state_dict()
    assert all((weights[name] == tensor).all() for name, tensor in run.best().items())
