from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from embedder_service.judging.embedding import ahead, raw_vectors, read_photos
from embedder_service.model import build
from embedder_service.spec import ModelError, ModelSpec, Preprocessing
from embedder_service.training.data import Catalogue, CatalogueError

pytestmark = pytest.mark.torch

_SIDES = Preprocessing(resize=32, crop=32)


def test_what_is_read_ahead_comes_in_order():
    assert list(ahead(lambda number: number**2, range(500))) == [n**2 for n in range(500)]


def test_whoever_stops_asking_is_not_waited_for():
    asked = []
    each = ahead(asked.append, range(100_000))
    next(each)
    each.close()

    assert len(asked) < 1000


def test_a_file_gone_since_it_was_looked_at_is_named(tiny: Catalogue, tmp_path: Path):
    gone = replace(tiny.photos[0], path=tmp_path / "gone.jpg")

    with pytest.raises(CatalogueError, match=r"gone\.jpg: expected the image that was there"):
        list(read_photos([gone], _SIDES))


def test_vectors_that_are_no_numbers_are_refused(tiny: Catalogue):
    model = build(ModelSpec(backbone="resnet18", dimension=8, preprocessing=_SIDES))
    for parameter in model.parameters():
        parameter.data.fill_(float("nan"))
    pixels = np.zeros((2, 3, 32, 32), np.uint8)

    with pytest.raises(ModelError, match="expected vectors of finite numbers"):
        raw_vectors(model, pixels, 2)
