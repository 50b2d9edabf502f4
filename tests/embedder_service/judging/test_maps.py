from __future__ import annotations

import numpy as np
import pytest

from embedder_service.judging.maps import laid_out

pytestmark = pytest.mark.torch


def test_photos_that_are_alike_lie_together():
    heaps = np.repeat(np.eye(3, 16, dtype=np.float32), 10, axis=0)
    vectors = heaps + np.random.default_rng(0).normal(0, 0.01, heaps.shape).astype(np.float32)

    places = laid_out(vectors, 2)

    assert places.shape == (30, 2)
    assert (places.min(), places.max()) == (0, 1)
    middles = places.reshape(3, 10, 2).mean(1)
    widest = np.linalg.norm(places - np.repeat(middles, 10, axis=0), axis=1).max()
    apart = np.linalg.norm(middles[:, None] - middles, axis=2)[~np.eye(3, dtype=bool)].min()
    assert widest < apart / 2


def test_copies_of_one_photo_can_be_laid_out():
    places = laid_out(np.ones((8, 16), np.float32), 3)

    assert places.shape == (8, 3)
    assert np.isfinite(places).all()
