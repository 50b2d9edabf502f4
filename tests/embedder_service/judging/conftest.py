"""A tiny catalogue, drawn once, to judge by: 10 items of 2 categories, 4 photos each."""

from __future__ import annotations

from pathlib import Path

import pytest

from embedder_service.training.data import Catalogue
from embedder_service.training.read import read_catalogue
from embedder_service.training.sample import SampleSettings, draw

_TINY = SampleSettings(
    items=10, photos_per_item=4, side=96, categories=2, new_item_share=0.2, workers=1
)


@pytest.fixture(autouse=True)
def _one_thread(request: pytest.FixtureRequest) -> None:
    """Tensors this small gain nothing from a second thread, and lose much on a busy machine."""
    if request.node.get_closest_marker("torch"):
        import torch

        torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny catalogue's folder; to be left as it is."""
    folder = tmp_path_factory.mktemp("judged")
    draw(folder, _TINY)
    return folder


@pytest.fixture(scope="session")
def tiny(tiny_folder: Path) -> Catalogue:
    """The tiny catalogue."""
    return read_catalogue(tiny_folder)
