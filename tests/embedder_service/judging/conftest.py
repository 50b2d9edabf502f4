"""A tiny catalogue, drawn once, to judge by: 10 items of 2 categories, 4 photos each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pytest

from embedder_service.training.data import Catalogue, Photo
from embedder_service.training.read import read_catalogue
from embedder_service.training.sample import SampleSettings, draw

if TYPE_CHECKING:  # it brings torch
    from embedder_service.judging.contestants import Contestant

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


@pytest.fixture
def contestant() -> Callable[..., Contestant]:
    """`contestant(vectors)`: it knows these vectors and makes no others."""
    from embedder_service.judging.contestants import Contestant, Maker
    from embedder_service.spec import Preprocessing

    def made(
        vectors: npt.ArrayLike, name: str = "fine-tuned", is_judged: bool = True
    ) -> Contestant:
        sides = Preprocessing(resize=32, crop=32)
        maker = Maker(name, sides, lambda *_: np.empty((0, 0), np.float32))
        return Contestant(name, is_judged, maker, np.asarray(vectors, np.float32))

    return made


@pytest.fixture
def catalogue_of() -> Callable[..., Catalogue]:
    """`catalogue_of("dress/d1/train dress/d1/test")`: photos by category, item and split."""

    def made(photos: str) -> Catalogue:
        parts = [photo.split("/") for photo in photos.split()]
        return Catalogue(
            Path("drawn"),
            tuple(
                Photo(
                    photo_id=f"{number:03}",
                    path=Path(),
                    item_id=item or f"{number:03}",
                    category=category,
                    split=split,  # type: ignore[arg-type]
                )
                for number, (category, item, split) in enumerate(parts)
            ),
        )

    return made
