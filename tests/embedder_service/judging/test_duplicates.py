from __future__ import annotations

import numpy as np
import pytest

from embedder_service.judging.copies import Copies, Spread
from embedder_service.judging.distances import normalised
from embedder_service.judging.duplicates import Pair, near_duplicates, near_pairs

pytestmark = pytest.mark.torch


def test_pairs_come_the_nearest_first_each_once():
    vectors = normalised(np.array([[1, 0], [0, 1], [1, 0.1], [1, 0]], np.float32))

    count, pairs = near_pairs(vectors, 0.9, most=9)

    assert count == 3
    assert [(pair.left, pair.right) for pair in pairs] == [(0, 3), (0, 2), (2, 3)]
    assert pairs[0] == Pair(0, 3, pytest.approx(1.0))


def test_all_are_counted_and_the_nearest_kept():
    vectors = normalised(np.random.default_rng(0).normal(size=(3000, 3)).astype(np.float32))

    count, pairs = near_pairs(vectors, 0.999, most=5)

    similar = np.triu(vectors @ vectors.T, 1)
    assert count == (similar >= 0.999).sum()
    best = np.sort(similar, axis=None)[::-1][:5]
    np.testing.assert_allclose([pair.similarity for pair in pairs], best, atol=1e-6)


def test_the_threshold_is_that_of_recompressed_copies_unless_given(catalogue_of, contestant):
    photos = catalogue_of("a/1/train a/1/train a/2/train").photos
    judged = contestant([[1, 0], [1, 0.05], [1, 0.2]])
    spread = Spread(low=0.5, middle=0.999 - 0.001, high=1, matched=None)
    copied = Copies(
        name="",
        is_judged=True,
        recall_at_1={},
        item_recall_at_1={},
        spread={"recompressed": spread},
        similarities={},
    )

    as_copies = near_duplicates(photos, judged, copied, above=0)
    given = near_duplicates(photos, judged, copied, above=0.9)

    assert (as_copies.threshold, as_copies.is_given, as_copies.found) == (0.998, False, 1)
    assert as_copies.pairs[0].same_item
    assert (given.threshold, given.is_given, given.found) == (0.9, True, 3)
    assert [pair.same_item for pair in given.pairs] == [True, False, False]
