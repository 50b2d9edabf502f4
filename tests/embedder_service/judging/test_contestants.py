from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.torch


def test_vectors_are_of_length_1_and_come_back_as_they_were(contestant):
    made = contestant([[3, 4], [0, 0], [-6, 8]])

    np.testing.assert_allclose(made.vectors, [[0.6, 0.8], [0, 0], [-0.6, 0.8]], rtol=1e-6)
    np.testing.assert_allclose(made.raw(np.array([2, 1])), [[-6, 8], [0, 0]], rtol=1e-6)


def test_vectors_are_held_once(contestant):
    from embedder_service.judging.contestants import Contestant

    raw = np.ones((4, 8), np.float32)
    made = Contestant.of(contestant(raw).maker, True, raw)

    assert made.vectors is raw
