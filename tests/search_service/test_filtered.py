"""Masks of filters are remembered, and change nothing but the time."""

import numpy as np
import pyarrow as pa
import pytest
from lookalike.search.v1 import search_pb2 as pb

from search_service.build import Source
from search_service.errors import UnknownAttribute
from search_service.filtered import Filtered

SPACE = "a" * 64


@pytest.fixture(scope="module")
def generation(made):
    vectors = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)
    items = [f"i{row // 2:02d}" for row in range(40)]
    photos = pa.table(
        {
            "photo_id": [f"p{row:02d}" for row in range(40)],
            "item_id": items,
            "size": [row // 2 for row in range(40)],
        }
    )
    return made(Source(vectors, photos, SPACE))


def below(size):
    bound = pb.Value(int64_value=size)
    return pb.Filter(range=pb.Range(attribute="size", less_than=bound))


def test_rows_of_the_items_that_fulfil_all_filters(generation):
    found = Filtered(generation.segments, generation.manifest).rows([below(9), below(3)])

    assert np.flatnonzero(found.rows).tolist() == [0, 1, 2, 3, 4, 5]
    assert found.count == 6


def test_the_same_filters_are_evaluated_once(generation):
    masks = Filtered(generation.segments, generation.manifest)

    assert masks.rows([below(3)]) is masks.rows([below(3)])
    assert masks.rows([below(3)]) is not masks.rows([below(4)])
    assert masks.rows([below(3), below(4)]) is not masks.rows([below(3)])


def test_the_filter_asked_for_longest_ago_is_forgotten_first(generation):
    masks = Filtered(generation.segments, generation.manifest, most_bytes=2 * 40)
    first, second = masks.rows([below(1)]), masks.rows([below(2)])
    masks.rows([below(1)])

    masks.rows([below(3)])

    assert masks.rows([below(1)]) is first
    assert masks.rows([below(2)]) is not second


def test_what_is_refused_is_refused_again(generation):
    masks = Filtered(generation.segments, generation.manifest)
    unknown = pb.Filter(missing=pb.Missing(attribute="colour"))

    for _ in range(2):
        with pytest.raises(UnknownAttribute):
            masks.rows([unknown])
