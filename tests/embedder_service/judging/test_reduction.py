from __future__ import annotations

import numpy as np
import pytest

from embedder_service.judging.reduction import reductions

pytestmark = pytest.mark.torch


def test_directions_that_hold_everything_lose_nothing():
    generator = np.random.default_rng(0)
    flat = generator.normal(size=(200, 4)) @ generator.normal(size=(4, 32))
    (reduction,) = reductions(flat.astype(np.float32), (256, 128, 8))

    reduced = reduction(flat.astype(np.float32))

    assert reduction.width == 8
    assert reduction.share == pytest.approx(1)
    np.testing.assert_allclose(np.linalg.norm(reduced, axis=1), 1, rtol=1e-5)
    centred = flat - flat.mean(0)
    lengths = np.linalg.norm(centred, axis=1)
    cosines = centred @ centred.T / np.outer(lengths, lengths)
    np.testing.assert_allclose(reduced @ reduced.T, cosines, atol=1e-3)


def test_fewer_photos_than_directions_give_none():
    assert reductions(np.eye(5, 300, dtype=np.float32), (256, 64)) == []
    assert reductions(np.empty((0, 300), np.float32), (64,)) == []
