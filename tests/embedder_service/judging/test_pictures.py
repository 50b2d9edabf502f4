from __future__ import annotations

import numpy as np
import pytest

from embedder_service.judging.pictures import examples, matrix, photo_map, worst
from embedder_service.judging.standings import standings
from embedder_service.judging.trial import retrieval_trial

pytestmark = pytest.mark.torch


def test_a_small_set_is_compared_whole(catalogue_of, contestant):
    photos = catalogue_of("a/1/train a/1/train b/2/train").photos

    found = matrix(photos, contestant([[1, 0], [0.8, 0.6], [-1, 0]]).vectors)

    assert found.is_whole
    assert found.photo_ids == ("000", "001", "002")
    np.testing.assert_allclose(found.similarities, [[1, 0.8, 0], [0.8, 1, 0], [0, 0, 1]], atol=1e-6)
    assert found.lists == ((1, 2), (0, 2), (0, 1))


def test_of_a_large_set_some_items_are_compared(catalogue_of, contestant):
    photos = catalogue_of(
        " ".join(f"c{number // 20}/i{number // 5}/train" for number in range(200))
    ).photos

    found = matrix(photos, contestant(np.eye(200)).vectors)

    shown = [photos[int(photo_id)] for photo_id in found.photo_ids]
    assert not found.is_whole
    assert len(shown) == 24
    assert len({photo.item_id for photo in shown}) == len({photo.category for photo in shown}) == 6
    assert all(len(top) == 3 for top in found.lists)


def test_of_lone_photos_as_many_are_compared(catalogue_of, contestant):
    photos = catalogue_of("//train " * 50).photos

    assert len(matrix(photos, contestant(np.eye(50)).vectors).photo_ids) == 24


def test_the_worst_are_those_whose_own_came_last(catalogue_of, contestant):
    trial = retrieval_trial(
        catalogue_of("/1/train /1/test /2/train /2/test /3/train /3/test"), None, 9
    )
    # 1 finds its own first, 2 second, 3 last.
    judged = contestant([[0, 1], [0, 1], [1, 0], [0.9, 1], [-1, 0], [0.9, 0]])
    stand = standings(trial, [judged], frozenset())

    found = worst(trial, judged, stand.found[0], stand.nearest, stand.by)

    assert [(sheet.photo_id, sheet.rank) for sheet in found] == [("005", 3), ("003", 2)]
    for sheet in found:
        assert sheet.wanted is not None
        assert sheet.wanted.is_right
        assert sheet.came[sheet.rank - 1].photo_id == sheet.wanted.photo_id
    assert worst(trial, judged, stand.found[0], stand.nearest, "") == ()


def test_examples_are_spread_over_the_categories(catalogue_of, contestant):
    trial = retrieval_trial(
        catalogue_of(" ".join(f"c{number // 10}/i{number}/train" for number in range(100))),
        "each",
        99,
    )
    judged = contestant(np.random.default_rng(0).normal(size=(100, 8)))
    stand = standings(trial, [judged], frozenset())

    found = examples(trial, judged, stand.nearest, stand.by)

    categories = {trial.photos[int(sheet.photo_id)].category for sheet in found}
    assert (len(found), len(categories)) == (6, 6)
    near = found[0].came
    assert [one.similarity for one in near] == sorted((n.similarity for n in near), reverse=True)


def test_a_handful_of_photos_makes_no_map(catalogue_of, contestant):
    assert photo_map(catalogue_of("//train " * 5).photos, contestant(np.eye(5)).vectors) is None
