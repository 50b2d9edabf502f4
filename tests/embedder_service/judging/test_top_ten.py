"""What chance gives is held against the mean over every order of the items."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from embedder_service.judging.top_ten import Items
from embedder_service.judging.trial import retrieval_trial

pytestmark = pytest.mark.torch

# Queries: a photo of d1, and one of d2. The gallery: four items, of two categories.
_PHOTOS = (
    "dress/d1/test dress/d2/test "
    "dress/d1/train dress/d1/train dress/d2/train coat/c1/train coat/c2/train"
)


@pytest.fixture
def items(catalogue_of):
    trial = retrieval_trial(catalogue_of(_PHOTOS), None, 9)
    return Items(trial, np.arange(2))


def test_an_item_is_right_by_its_id_and_by_its_category(items):
    answers = items.numbers([["c1", "d1", "d2"], ["d2", "d1", "c2", "c1"]])

    by_item, by_category = items.top_ten(answers, "item"), items.top_ten(answers, "category")

    assert (by_item.recall_at_1, by_item.recall_at_5, by_item.queries) == (0.5, 1, 2)
    assert by_item.mean_average_precision == (1 / 2 + 1) / 2
    assert by_category.recall_at_1 == 0.5
    assert by_category.mean_average_precision == pytest.approx(((1 / 2 + 2 / 3) / 2 + 1) / 2)


def test_what_the_gallery_does_not_hold_is_right_for_nobody(items):
    answers = items.numbers([["x", "d1"], ["y"]])

    assert answers[:, :3].tolist() == [[-1, 0, -1], [-1, -1, -1]]
    assert items.top_ten(answers, "item").recall_at_10 == 0.5


@pytest.mark.parametrize("by", ["item", "category"])
def test_chance_is_the_mean_over_all_orders(items, by):
    orders = list(permutations(["d1", "d2", "c1", "c2"]))
    every = [items.top_ten(items.numbers([order, order]), by) for order in orders]
    by_chance = items.chance(by)

    for name in ("recall_at_1", "recall_at_5", "recall_at_10", "mean_average_precision"):
        mean = np.mean([getattr(each, name) for each in every])
        assert getattr(by_chance, name) == pytest.approx(mean)


def test_items_stand_where_their_nearest_photo_does(items, contestant):
    nearest = items.nearest(contestant([[1, 0], [0, 1], [0, 1], [1, 0], [1, 0.1], [1, 1], [0, 2]]))

    # d1's second photo is the first query's nearest, d1's first and c2's the other's.
    assert nearest[:, :4].tolist() == [[0, 1, 2, 3], [0, 3, 2, 1]]


def test_an_item_whose_only_photo_is_the_query_cannot_be_found(catalogue_of, contestant):
    trial = retrieval_trial(catalogue_of("a/1/train a/1/train a/2/train"), "each", 9)
    items = Items(trial, np.arange(3))

    assert items.relevant("item").tolist() == [1, 1, 0]
    assert items.relevant("category").tolist() == [2, 2, 1]
    nearest = items.nearest(contestant(np.eye(3)))
    assert nearest[:, :2].tolist() == [[0, 1], [0, 1], [0, -1]]


def test_without_items_or_categories_there_is_nothing_to_count(catalogue_of):
    trial = retrieval_trial(catalogue_of("//train //train"), "each", 9)
    items = Items(trial, np.arange(2))

    for by in ("item", "category"):
        assert items.chance(by) is None
        assert items.top_ten(items.numbers([[], []]), by) is None
