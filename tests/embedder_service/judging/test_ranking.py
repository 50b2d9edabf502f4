"""Against a plain loop over sorted lists."""

from __future__ import annotations

import numpy as np
import pytest

from embedder_service.judging.distances import normalised
from embedder_service.judging.ranking import Labels, find

pytestmark = pytest.mark.torch


def test_the_average_precision_is_worked_out_by_hand():
    gallery = np.array([[3], [2], [1], [0]], np.float32)
    labels = Labels.of(["a"], ["a", "b", "a", "b"])

    (found,), nearest = find(np.ones((1, 1), np.float32), gallery, [labels])

    assert nearest.tolist() == [[0, 1, 2, 3]]
    assert (found.relevant[0], found.first[0], found.among_ten[0]) == (2, 1, 2)
    assert found.precision[0] == pytest.approx((1 / 1 + 2 / 3) / 2)


def test_equally_near_photos_come_in_the_gallerys_order():
    (found,), nearest = find(
        np.ones((1, 1), np.float32),
        np.ones((5, 1), np.float32),
        [Labels.of(["own"], ["", "other", "own", "own", ""])],
    )

    assert nearest.tolist() == [[0, 1, 2, 3, 4]]
    assert found.first[0] == 3


def test_a_query_that_stands_in_the_gallery_is_never_its_own_neighbour():
    vectors = np.eye(4, dtype=np.float32)
    labels = Labels.of(["a", "a", "b", "b"], ["a", "a", "b", "b"])

    (found,), nearest = find(vectors, vectors, [labels], own=np.arange(4))

    assert nearest.tolist() == [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]
    assert found.gallery.tolist() == [3, 3, 3, 3]
    assert found.relevant.tolist() == [1, 1, 1, 1]
    assert found.first.tolist() == [1, 1, 3, 3]


def test_who_has_no_label_finds_nothing():
    (found,), _ = find(
        np.ones((2, 1), np.float32),
        np.ones((2, 1), np.float32),
        [Labels.of(["", "a"], ["", "a"])],
    )

    assert found.relevant.tolist() == [0, 1]
    assert found.answerable().first.tolist() == [2]


def test_blocks_of_queries_find_what_one_loop_finds():
    generator = np.random.default_rng(0)
    gallery = normalised(generator.normal(size=(40_000, 4)).astype(np.float32))
    queries = gallery[:120] + np.float32(0.01)
    names = [str(number % 500) for number in range(len(gallery))]

    (found,), nearest = find(queries, gallery, [Labels.of(names[:120], names)])

    scores = queries @ gallery.T
    for row in (0, 50, 99, 100, 119):  # 100 queries are a block
        order = np.argsort(-scores[row], kind="stable")
        right = np.array([names[column] == names[row] for column in order])
        ranks = np.flatnonzero(right) + 1
        assert nearest[row].tolist() == order[:10].tolist()
        assert found.first[row] == ranks[0]
        assert found.precision[row] == pytest.approx(np.mean(np.arange(1, 81) / ranks))
