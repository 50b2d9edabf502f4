"""A training that is killed goes on as if nothing had happened."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from embedder_service.training.data import Catalogue
from embedder_service.training.finetune import Epoch, FinetuneSettings, finetune
from embedder_service.training.run import Run

pytestmark = pytest.mark.torch

SETTINGS = FinetuneSettings(
    weights="none", side=40, epochs=4, batch=6, dimension=32, average=0.9, patience=4
)
OPTIONS = [
    "--backbone=resnet18",
    "--weights=none",
    "--side=40",
    "--epochs=4",
    "--batch=6",
    "--dimension=32",
]
CLOCKED = ("seconds", "photos_per_second")


def test_a_killed_training_has_the_same_curve_and_model(
    tiny: Catalogue, tiny_folder: Path, tmp_path: Path
):
    whole: list[Epoch] = []
    expected = finetune(tiny, SETTINGS, whole.append)

    kill_after_two_epochs(tiny_folder, tmp_path / "run")
    run = Run(tmp_path / "run")
    run.begin(tiny, SETTINGS, restart=False)
    resumed: list[Epoch] = []
    steps: list[int] = []
    model = finetune(tiny, SETTINGS, resumed.append, lambda done, _: steps.append(done), keeper=run)

    assert [curve(epoch) for epoch in resumed] == [curve(epoch) for epoch in whole]
    assert model.space_id() == expected.space_id()
    assert steps[0] > 6  # two epochs of three batches were there already
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["number"] for line in lines] == [1, 2, 3, 4]


def kill_after_two_epochs(photos: Path, folder: Path) -> None:
    command = [sys.executable, "-m", "embedder_service.training", "finetune", str(photos)]
    command += [*OPTIONS, "--average=0.9", "--patience=4", f"--run-folder={folder}"]
    process = subprocess.Popen(
        command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL
    )
    metrics = folder / "metrics.jsonl"
    while not (metrics.exists() and len(metrics.read_text().splitlines()) >= 2):
        assert process.poll() is None, "it ended before its second epoch"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()


def curve(epoch: Epoch) -> dict[str, Any]:
    return {name: value for name, value in asdict(epoch).items() if name not in CLOCKED}
