from __future__ import annotations

import numpy as np
import pytest

from embedder_service.judging.distances import cosine, euclidean, manhattan, normalised

pytestmark = pytest.mark.torch


def test_normalised_vectors_have_length_1_and_nothing_stays_nothing():
    vectors = normalised(np.array([[3, 4], [0, 0]], np.float32))

    np.testing.assert_allclose(vectors, [[0.6, 0.8], [0, 0]], rtol=1e-6)
    assert vectors.dtype == np.float32


def test_greater_is_nearer_by_each_of_the_three():
    query, gallery = np.array([[1, 0]], np.float32), np.array([[1, 1], [0, 3]], np.float32)

    np.testing.assert_allclose(cosine(query, gallery), [[1, 0]])
    np.testing.assert_allclose(euclidean(query, gallery), [[-1, -10]])
    np.testing.assert_allclose(manhattan(query, gallery), [[-1, -4]])


def test_between_vectors_of_length_1_cosine_and_euclid_rank_alike():
    vectors = normalised(np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32))
    orders = [
        np.argsort(-measure(vectors[:5], vectors[5:]), axis=1) for measure in (cosine, euclidean)
    ]

    np.testing.assert_array_equal(*orders)
