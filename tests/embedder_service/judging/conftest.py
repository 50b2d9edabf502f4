"""A tiny catalogue, drawn once, to judge by: 10 items of 2 categories, 4 photos each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pytest

from embedder_service.training.data import Catalogue, Damaged, Photo
from embedder_service.training.read import read_catalogue
from embedder_service.training.sample import SampleSettings, draw

if TYPE_CHECKING:  # it brings torch
    from embedder_service.judging.contestants import Contestant
    from embedder_service.judging.findings import Findings
    from embedder_service.judging.judge import Judged

_HOSTILE = "<script>alert(1)</script>&\"'"
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
        return Contestant.of(maker, is_judged, np.array(vectors, np.float32))

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


@pytest.fixture(scope="session")
def hostile(tiny: Catalogue) -> Catalogue:
    """The tiny catalogue with a name for a category that a page must not take for its own."""
    first = tiny.categories[0]
    photos = tuple(
        replace(photo, category=_HOSTILE) if photo.category == first else photo
        for photo in tiny.photos
    )
    damaged = (Damaged(Path("<b>cut</b>.jpg"), "content: expected <i>more</i>"),)
    return replace(tiny, photos=photos, damaged=damaged)


@pytest.fixture(scope="session")
def models(hostile: Catalogue) -> list[Judged]:
    """Two that were never trained, of 16 dimensions from 32 x 32 pixels."""
    from embedder_service.judging.baselines import untrained_model
    from embedder_service.judging.judge import Judged
    from embedder_service.spec import ModelSpec, Preprocessing

    spec = ModelSpec(
        backbone="resnet18",
        dimension=16,
        preprocessing=Preprocessing(resize=32, crop=32),
        classes=hostile.categories,
    )
    made = [untrained_model(spec, hostile.gallery, seed) for seed in (1, 2)]
    return [Judged(Path("models", str(n)), f"{n}" * 64, model) for n, model in enumerate(made)]


@pytest.fixture(scope="session")
def found(hostile: Catalogue, models: list[Judged]) -> Findings:
    """What is found of two models."""
    from embedder_service.judging.judge import Settings, judge

    return judge(hostile, models, Settings(weights="none", copied=4), lambda *_: None)
