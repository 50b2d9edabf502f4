"""Exact neighbours, block by block."""

import numpy as np
import pytest

from search_service.engines import exact


def drawn(count, dimension=16, seed=0):
    vectors = np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize("count", [1, 10, 999, 1000, 5000])
def test_the_nearest_rows_are_those_of_a_full_sort(count):
    vectors, queries = drawn(1000), drawn(130, seed=1)

    found = exact.nearest_rows(vectors, queries, count)

    order = np.argsort(-(queries @ vectors.T), axis=1)[:, :count]
    assert [set(rows) for rows in found] == [set(rows) for rows in order]


def test_many_blocks_give_what_one_gives():
    vectors, queries = drawn(70_000, 8), drawn(3, 8, seed=1)

    found = exact.nearest_rows(vectors, queries, 50)

    order = np.argsort(-(queries @ vectors.T), axis=1)[:, :50]
    assert [set(rows) for rows in found] == [set(rows) for rows in order]


@pytest.mark.parametrize("queries", [2, 70])
@pytest.mark.parametrize("share", [1 / 7, 0.5, 0.9])
def test_only_allowed_rows_are_found_gathered_or_struck_out_of_all(share, queries):
    vectors, asked = drawn(70_000, 4), drawn(queries, 4, seed=1)
    allowed = np.random.default_rng(3).random(70_000) < share
    whole = exact.Stacked([vectors[:69_000], vectors[69_000:]])

    found = exact.nearest_rows(whole, asked, 20, allowed)

    scores = np.where(allowed, asked @ vectors.T, -2)
    order = np.argsort(-scores, axis=1)[:, :20]
    assert [set(rows) for rows in found] == [set(rows) for rows in order]


@pytest.mark.parametrize("allowed_rows", [0, 100, 900])
def test_no_more_are_found_than_are_allowed(allowed_rows):
    vectors, queries = drawn(1000), drawn(2, seed=1)

    found = exact.nearest_rows(vectors, queries, 950, np.arange(1000) < allowed_rows)

    assert [sorted(rows) for rows in found] == [list(range(allowed_rows))] * 2


@pytest.mark.parametrize("spread", ["even", "rising", "few values", "one high"])
def test_the_highest_scores_are_found_however_they_are_spread(spread):
    generator = np.random.default_rng(2)
    scores = {
        "even": generator.normal(size=20_000),
        "rising": np.linspace(-1, 1, 20_000),
        "few values": generator.integers(0, 3, 20_000),
        "one high": np.where(np.arange(20_000) == 77, 1, 0),
    }[spread].astype(np.float32)

    for count in (1, 10, 300, 19_999):
        places, best = exact._top(scores, count)

        assert len(set(places.tolist())) == count
        assert np.array_equal(best, scores[places])
        assert np.array_equal(np.sort(best), np.sort(scores)[-count:])
