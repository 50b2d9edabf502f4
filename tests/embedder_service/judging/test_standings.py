from __future__ import annotations

import numpy as np
import pytest

from embedder_service.judging.standings import standings
from embedder_service.judging.trial import retrieval_trial

pytestmark = pytest.mark.torch

_PHOTOS = "a/1/train a/1/test b/2/train b/2/test b/3/test b/3/test"


def test_chance_stands_first_and_then_everyone(catalogue_of, contestant):
    catalogue = catalogue_of(_PHOTOS)
    trial = retrieval_trial(catalogue, None, 99)
    perfect = contestant(np.repeat(np.eye(3), 2, axis=0), "model B")
    blind = contestant(np.ones((6, 3)), "model A")

    found = standings(trial, [blind, perfect], catalogue.new_items)

    assert [row.name for row in found.rows] == ["chance", "model A", "model B"]
    assert found.by == "item"
    assert found.rows[-1].item.recall_at_1 == 1
    assert found.rows[-1].new_item.queries == 1  # of item 3
    assert found.rows[1].item.recall_at_1 == pytest.approx(1 / 3)
    assert found.lead.difference == pytest.approx(2 / 3)


def test_where_all_items_are_new_they_are_not_told_twice(catalogue_of, contestant):
    catalogue = catalogue_of("a/1/query a/1/gallery a/2/query a/2/gallery")
    trial = retrieval_trial(catalogue, None, 99)

    found = standings(trial, [contestant(np.eye(4))], catalogue.new_items)

    assert found.rows[-1].item is not None
    assert found.rows[-1].new_item is None


@pytest.mark.parametrize(
    ("photos", "by"),
    [("a//train a//test b//train", "category"), (_PHOTOS, "item"), ("//train //test", "")],
)
def test_what_can_be_counted_depends_on_the_labels(catalogue_of, contestant, photos, by):
    catalogue = catalogue_of(photos)
    trial = retrieval_trial(catalogue, None, 99)

    found = standings(trial, [contestant(np.eye(len(catalogue.photos)))] * 2, catalogue.new_items)

    assert found.by == by
    assert (found.lead is None) == (by == "")
