"""The vectors of the act at the article's size, from catalogues of every kind."""

import numpy as np
import pytest
from lookalike_cli.demo.spread import PHOTOS_PER_ITEM, Spread

pytestmark = pytest.mark.torch


@pytest.mark.parametrize(
    ("items", "categories"),
    [
        ("abcdefghijkl", "k" * 12),
        ("abcdefghijkl", "abcdefghijkl"),
        ("aabbccddeefg", "kkkkkkllllmn"),
        ("a" * 12, "k" * 12),
        ("ab", "  "),
    ],
    ids=["lone photos", "a category each", "some of either", "one item", "two photos"],
)
def test_no_two_vectors_are_the_same_and_all_are_of_length_1(items, categories):
    rng = np.random.default_rng(0)
    real = rng.normal(size=(len(items), 16)).astype(np.float32)

    drawn = Spread.of(real, list(items), list(categories)).draw(2_000, seed=1)

    np.testing.assert_allclose(np.linalg.norm(drawn, axis=1), 1, rtol=1e-5)
    assert len(np.unique(drawn, axis=0)) == 2_000


def test_photos_of_an_item_stand_together_where_the_catalogue_shows_how():
    rng = np.random.default_rng(0)
    means = np.repeat(rng.normal(size=(20, 16)), 4, axis=0)
    real = (means + rng.normal(scale=0.1, size=(80, 16))).astype(np.float32)

    items = [str(row // 4) for row in range(80)]
    drawn = Spread.of(real, items, [""] * 80).draw(800, seed=1)
    nearest = np.argsort(-(drawn @ drawn.T), axis=1)[:, 1]

    assert np.mean(nearest // PHOTOS_PER_ITEM == np.arange(800) // PHOTOS_PER_ITEM) > 0.9
