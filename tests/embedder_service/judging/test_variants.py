from __future__ import annotations

import numpy as np
import pytest

from embedder_service.judging.trial import retrieval_trial
from embedder_service.judging.variants import by_dimension, by_distance

pytestmark = pytest.mark.torch


@pytest.fixture
def trial(catalogue_of):
    photos = " ".join(f"kind/i{number // 2}/train" for number in range(160))
    return retrieval_trial(catalogue_of(photos), "each", 1000)


@pytest.fixture
def misled(contestant):
    """80 directions, two photos each of very different lengths."""
    directions = np.repeat(np.random.default_rng(0).normal(size=(80, 80)), 2, axis=0)
    return contestant(directions * np.tile([[1], [3]], (80, 1)))


def test_length_misleads_euclid_and_manhattan_but_not_the_cosine(trial, misled):
    found = by_distance(trial, [misled], "item")
    chance, row = found.rows

    assert (chance.name, row.name, found.queries) == ("chance", "fine-tuned", 160)
    assert row.recall_at_1["cosine"] == 1
    assert row.recall_at_1["euclidean, length 1"] == 1
    assert row.recall_at_1["manhattan, length 1"] == 1
    assert row.recall_at_1["euclidean, raw"] < 0.6
    assert row.recall_at_1["manhattan, raw"] < 0.6
    np.testing.assert_allclose(list(chance.recall_at_1.values()), 1 / 159)


def test_widths_that_no_vectors_have_get_no_column_and_others_may_stay_blank(
    trial, misled, contestant
):
    narrow = contestant(np.random.default_rng(0).normal(size=(160, 40)), "colours")
    found = by_dimension(trial, [narrow, misled], "item")
    _, blank, row = found.rows

    assert list(found.columns) == ["raw", "length 1", "PCA 64"]
    assert blank.recall_at_1["PCA 64"] is None
    assert row.recall_at_1["PCA 64"] == row.recall_at_1["length 1"] == 1
    assert row.mean_average_precision["raw"] < 1
    assert list(found.kept) == ["PCA 64"]
    assert 0.8 < found.kept["PCA 64"] < 1
