"""A tiny catalogue, drawn once: 12 items of 3 categories, 4 photos each."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from embedder_service.training.data import Catalogue
from embedder_service.training.read import read_catalogue
from embedder_service.training.sample import SampleSettings, draw

TINY = SampleSettings(
    items=12, photos_per_item=4, side=96, categories=3, new_item_share=0.25, workers=1
)


@pytest.fixture(autouse=True)
def _one_thread(request: pytest.FixtureRequest) -> None:
    """Tensors this small gain nothing from a second thread, and lose much on a busy machine."""
    if request.node.get_closest_marker("torch"):
        import torch

        torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_settings() -> SampleSettings:
    return TINY


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny catalogue's folder; to be left as it is."""
    folder = tmp_path_factory.mktemp("tiny")
    draw(folder, TINY)
    return folder


@pytest.fixture(scope="session")
def tiny(tiny_folder: Path) -> Catalogue:
    """The tiny catalogue."""
    return read_catalogue(tiny_folder)


@pytest.fixture
def own_copy(tiny_folder: Path, tmp_path: Path) -> Path:
    """A copy of the tiny catalogue that a test may spoil."""
    return Path(shutil.copytree(tiny_folder, tmp_path / "copy"))
