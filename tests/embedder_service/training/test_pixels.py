"""Pixels from memory or from files: the same, in the order asked."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from embedder_service.training.data import Catalogue, CatalogueError
from embedder_service.training.pixels import Pixels
from embedder_service.training.read import read_catalogue

pytestmark = pytest.mark.torch

PARTS = [torch.tensor([5, 1]), torch.tensor([0]), torch.tensor([7, 3, 2]), *[torch.tensor([4])] * 5]


def test_what_is_streamed_is_what_would_be_held(tiny: Catalogue):
    held, streamed = (Pixels(tiny.photos, 48, 2, in_memory=held) for held in (True, False))

    pairs = list(zip(held.parts(PARTS), streamed.parts(PARTS), strict=True))

    assert [len(one) for one, _ in pairs] == [2, 1, 3, 1, 1, 1, 1, 1]
    assert all(torch.equal(one, other) for one, other in pairs)


def test_a_reader_who_leaves_early_is_no_trouble(tiny: Catalogue):
    parts = Pixels(tiny.photos, 48, 2, in_memory=False).parts(PARTS)

    assert len(next(parts)) == 2


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_file_that_is_gone_is_named(own_copy: Path, in_memory: bool):
    catalogue = read_catalogue(own_copy)
    gone = catalogue.photos[1].path
    gone.unlink()

    with pytest.raises(CatalogueError, match=f"{gone.name}: expected the image that was there"):
        list(Pixels(catalogue.photos, 48, 1, in_memory).parts(PARTS))
