"""What chance gives is held against the mean over every order there is."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from embedder_service.judging.ranking import Found, Labels, find
from embedder_service.judging.retrieval import chance, margin, retrieval

pytestmark = pytest.mark.torch

_GALLERY = ["a", "b", "a", "c", "c", "c"]


def test_recall_asks_for_one_of_the_own_among_the_first():
    figures = retrieval(_found("cccaab"))

    assert figures is not None
    assert (figures.recall_at_1, figures.recall_at_5, figures.recall_at_10) == (0, 1, 1)
    assert figures.mean_average_precision == pytest.approx((1 / 4 + 2 / 5) / 2)


def test_chance_is_the_mean_over_all_orders():
    every = [retrieval(_found(order)) for order in permutations(_GALLERY)]
    by_chance = chance(_found(_GALLERY))

    assert by_chance is not None
    for name in ("recall_at_1", "recall_at_5", "recall_at_10", "mean_average_precision"):
        mean = np.mean([getattr(figures, name) for figures in every])
        assert getattr(by_chance, name) == pytest.approx(mean)
    assert by_chance.margin == 0


def test_without_anything_to_find_there_are_no_figures():
    nothing = _found("bbbccc")

    assert retrieval(nothing) is None
    assert chance(nothing) is None


def test_the_margin_shrinks_with_the_number_of_queries():
    few, many = (margin([0, 1] * count) for count in (10, 1000))

    assert few == pytest.approx(10 * many, rel=0.05)
    assert many == pytest.approx(1.96 * 0.5 / np.sqrt(2000), rel=0.01)
    assert margin([1]) == 1


def _found(order: object) -> Found:
    """Of one query that looks for a, among photos in this order."""
    names = list(order)  # type: ignore[call-overload]
    gallery = -np.arange(len(names), dtype=np.float32)[:, None]
    (found,), _ = find(np.ones((1, 1), np.float32), gallery, [Labels.of(["a"], names)])
    return found
