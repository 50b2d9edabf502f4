import numpy as np
import pytest

from search_service.choose import Copies, diverse, full_values, take

# Six directions in a plane, the nearest to the query first: at 0, 5, 10, 60, 90 and 180 degrees.
DEGREES = np.deg2rad([0.0, 5.0, 10.0, 60.0, 90.0, 180.0])
FAN = np.stack([np.cos(DEGREES), np.sin(DEGREES)], axis=1).astype(np.float32)
NEAR = np.maximum(0.0, FAN[:, 0])


def copies(degrees, vectors=FAN):
    return Copies(vectors, np.arange(len(vectors)), float(np.cos(np.deg2rad(degrees))))


def test_a_value_is_taken_so_often_and_a_missing_one_always():
    values = ["red", "red", None, "red", "blue", None, None, "blue", "blue"]

    assert take(99, values, 2, None) == [0, 1, 2, 4, 5, 6, 7]
    assert take(3, values, 1, None) == [0, 2, 4]


def test_only_what_was_taken_makes_the_next_one_a_copy():
    assert take(9, [None] * 6, 0, copies(6)) == [0, 2, 3, 4, 5]
    assert take(9, [None] * 6, 0, copies(11)) == [0, 3, 4, 5]


def test_an_item_refused_by_its_value_makes_no_copies():
    values = ["red", "blue", "red", "red", "blue", "red"]

    assert take(9, values, 1, copies(1)) == [0, 1]
    assert take(9, ["red", "red", None, None, None, None], 1, copies(6)) == [0, 2, 3, 4, 5]


def test_the_first_of_equals_stays_even_far_down():
    vectors = np.repeat(FAN, 1500, axis=0)

    assert take(9, [None] * 9000, 0, copies(0, vectors)) == [0, 1500, 3000, 4500, 6000, 7500]


@pytest.mark.parametrize("count", range(8))
def test_a_prefix_of_the_ranking_decides_a_prefix_of_what_is_taken(count):
    values = ["red", None, "red", "blue", "red", None]
    whole = take(9, values, 2, copies(6))

    assert take(9, values[:count], 2, copies(6)) == [place for place in whole if place < count]
    assert take(count, values, 2, copies(6)) == whole[:count]


def test_values_are_full_when_they_have_their_hits():
    assert full_values(["red", None, "blue", "red", None], 2) == ["red"]


def test_without_diversity_the_order_is_that_of_the_ranking():
    assert diverse(FAN, NEAR, 6, 0.0) == [0, 1, 2, 3, 4, 5]


def test_diversity_weighs_the_query_against_what_is_chosen():
    # The first is the query itself: all others score 0 then, so the nearest is next.
    assert diverse(FAN, NEAR, 3, 0.5) == [0, 1, 5]
    assert diverse(FAN, NEAR, 3, 0.9) == [0, 4, 5]


def test_of_equal_scores_the_nearest_is_chosen():
    assert diverse(FAN[[0, 0, 0]], NEAR[[0, 0, 0]], 3, 1.0) == [0, 1, 2]
    assert diverse(FAN, NEAR, 1, 1.0) == [0]


def test_there_are_not_more_to_choose_from_than_there_are():
    assert sorted(diverse(FAN, NEAR, 99, 0.3)) == [0, 1, 2, 3, 4, 5]
    assert diverse(FAN[:0], NEAR[:0], 5, 0.3) == []
