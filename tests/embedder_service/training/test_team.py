"""Several processes share each batch, and learn what one alone would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from embedder_service.spec import ModelError
from embedder_service.training.augment import Augmentation
from embedder_service.training.batches import batches, expect_shares
from embedder_service.training.data import Catalogue
from embedder_service.training.epochs import Epoch
from embedder_service.training.finetune import finetune
from embedder_service.training.photos import Photos
from embedder_service.training.settings import FinetuneSettings
from embedder_service.training.team import ALONE, Team

pytestmark = pytest.mark.torch

# Without BatchNorm, whose statistics are each process's own, two compute what one does.
SETTINGS = FinetuneSettings(
    backbone="vgg16",
    layer="pooling",
    weights="none",
    side=32,
    epochs=2,
    batch=8,
    rate=1e-4,
    precision="float32",
)
OPTIONS = [
    "--backbone=vgg16",
    "--layer=pooling",
    "--weights=none",
    "--side=32",
    "--epochs=2",
    "--batch=8",
    "--rate=1e-4",
    "--precision=float32",
]


def test_two_processes_learn_what_one_does_and_the_first_alone_writes(
    tiny: Catalogue, tiny_folder: Path, tmp_path: Path
):
    alone: list[Epoch] = []
    finetune(tiny, SETTINGS, alone.append)
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += ["-m", "embedder_service.training", "finetune", str(tiny_folder), *OPTIONS]
    command += [f"--models={tmp_path / 'models'}", f"--run-folder={tmp_path / 'run'}"]
    ended = subprocess.run(
        [sys.executable, *command],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("train_loss") == 1
    assert len(list((tmp_path / "models").iterdir())) == 1
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    together = [Epoch(**json.loads(line)) for line in lines]
    for name in ("train_loss", "valid_loss"):
        expected = [getattr(epoch, name) for epoch in alone]
        assert [getattr(epoch, name) for epoch in together] == pytest.approx(expected, rel=1e-3)


def test_the_shares_of_a_batch_are_the_batch(tiny: Catalogue):
    photos = Photos(tiny, SETTINGS)
    whole = list(batches(photos, Augmentation(), 32, (0, 1), ALONE))
    shared = [list(batches(photos, Augmentation(), 32, (0, 1), Team(rank, 2))) for rank in (0, 1)]

    for one, *parts in zip(whole, *shared, strict=True):
        for place in range(3):
            joined = torch.cat([part[place] for part in parts])
            assert torch.equal(one[place], joined)


def test_another_epoch_has_another_order(tiny: Catalogue):
    photos = Photos(tiny, SETTINGS)
    first, second = (
        torch.cat([items for _, _, items in batches(photos, Augmentation(), 32, seed, ALONE)])
        for seed in ((0, 1), (0, 2))
    )

    assert not torch.equal(first, second)


@pytest.mark.parametrize(("batch", "size"), [(9, 2), (4, 4)])
def test_a_batch_that_cannot_be_shared_is_refused(batch: int, size: int):
    with pytest.raises(ModelError, match=f"batch: expected a multiple of {size}, .* got {batch}"):
        expect_shares(batch, Team(0, size))
