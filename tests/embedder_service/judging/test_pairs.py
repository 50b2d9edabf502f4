from __future__ import annotations

import numpy as np
import pytest

from embedder_service.judging.pairs import (
    moved,
    other_item_pairs,
    quantile_above,
    same_item_pairs,
    threshold_at,
    thresholds,
)

pytestmark = pytest.mark.torch


def test_of_few_photos_every_pair_of_other_items_is_taken():
    pairs = other_item_pairs(["a", "a", "b"])

    assert list(zip(pairs.left, pairs.right, strict=True)) == [(0, 2), (1, 2)]


def test_of_many_photos_pairs_are_drawn_each_at_most_once():
    items = [str(number // 4) for number in range(2000)]
    pairs = other_item_pairs(items, most=5000)
    drawn = set(zip(pairs.left.tolist(), pairs.right.tolist(), strict=True))

    assert len(drawn) == len(pairs.left) > 4900
    assert all(left < right and items[left] != items[right] for left, right in drawn)


def test_every_pair_of_an_item_is_taken_and_no_other():
    pairs = same_item_pairs(["a", "b", "a", "a", "c"])

    assert sorted(zip(pairs.left, pairs.right, strict=True)) == [(0, 2), (0, 3), (2, 3)]
    assert len(same_item_pairs(["a", "b"]).left) == 0


def test_a_similarity_is_never_below_0():
    vectors = np.array([[1, 0], [-1, 0], [0.6, 0.8]], np.float32)
    pairs = other_item_pairs(["a", "b", "c"])

    np.testing.assert_allclose(pairs.similarities(vectors), [0, 0.6, 0], atol=1e-6)


@pytest.mark.parametrize(
    ("values", "rate", "expected"),
    [
        ([0.1, 0.2, 0.3, 0.4], 0.25, 0.4),
        ([0.1, 0.2, 0.3, 0.4], 0.5, 0.3),
        ([0.1, 0.4, 0.4, 0.4], 0.5, np.nextafter(0.4, 2)),  # three would be too many
        ([0.1, 0.2], 1.0, 0.1),
    ],
)
def test_at_most_that_share_reaches_the_threshold(values, rate, expected):
    assert quantile_above(np.array(values), rate) == pytest.approx(expected)


def test_thresholds_are_named_where_the_pairs_can_show_the_rate():
    others, same = np.linspace(0, 0.8, 1000), np.linspace(0.5, 1, 100)
    five, one = thresholds(others, same)

    assert (five.rate, one.rate) == (0.05, 0.01)  # 1 in 1,000 would be one pair
    assert five.similarity < one.similarity
    assert five.kept is not None
    assert five.kept > one.kept
    assert threshold_at(0.5, others, np.empty(0)).kept is None


def test_the_threshold_of_the_new_space_keeps_the_rate_of_false_matches():
    generator = np.random.default_rng(0)
    old_vectors = np.abs(generator.normal(size=(300, 6)).astype(np.float32))
    old_vectors /= np.linalg.norm(old_vectors, axis=1, keepdims=True)
    pairs = other_item_pairs([str(number) for number in range(300)])
    old = pairs.similarities(old_vectors)
    new = 0.5 * old**2  # the same order: the same pairs match

    one = moved(0.9, pairs, (old, new), (old[:50], new[:50]))

    assert one.old.rate == pytest.approx(one.new.rate)
    assert one.new.similarity == pytest.approx(0.5 * 0.9**2, abs=0.001)
    assert one.low <= one.new.similarity <= one.high
    assert one.high - one.low < 0.01
    assert one.old.kept == one.new.kept


def test_between_spaces_that_disagree_the_interval_is_wider():
    generator = np.random.default_rng(0)
    pairs = other_item_pairs([str(number) for number in range(200)])
    old, new = generator.uniform(size=(2, len(pairs.left)))

    one = moved(0.95, pairs, (old, new), (old, new))

    assert one.low < 0.95 < one.high
    assert one.new.rate == pytest.approx(one.old.rate, abs=1e-4)
