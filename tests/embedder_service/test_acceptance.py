import numpy as np
import pytest

from embedder_service import acceptance


@pytest.fixture
def stored() -> np.ndarray:
    vectors = np.random.default_rng(0).normal(size=(40, 16)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture
def photos() -> np.ndarray:
    """Each says its number in its first pixel."""
    pixels = np.zeros((40, 3, 2, 2), np.uint8)
    pixels[:, 0, 0, 0] = np.arange(40)
    return pixels


def embedding(vectors: np.ndarray):
    return lambda pixels: vectors[pixels[:, 0, 0, 0]]


def test_the_vectors_themselves_are_accepted(stored, photos):
    figures = acceptance.judge(embedding(stored), photos, stored, 8)

    assert (figures.photos, figures.error, figures.agreement) == (40, 0, 1)
    assert figures.cosine == pytest.approx(1)
    assert figures.composition == 0
    assert figures.is_accepted


def test_an_error_is_a_fraction_of_the_distance_to_the_nearest_other(stored, photos):
    ours = stored.copy()
    nearest = acceptance.nearest_distances(stored)[7]
    ours[7, 0] += 0.2 * nearest

    figures = acceptance.judge(embedding(ours), photos, stored, 8)

    assert figures.error == pytest.approx(0.2, rel=1e-3)
    assert figures.mean_error == pytest.approx(0.2 / 40, rel=1e-3)
    assert not figures.is_accepted


def test_other_neighbours_are_refused(stored, photos):
    ours = np.roll(stored, 1, axis=0)

    figures = acceptance.judge(embedding(ours), photos, stored, 8)

    assert figures.agreement < 0.5
    assert not figures.is_accepted


def test_not_a_number_is_refused(stored, photos):
    ours = stored.copy()
    ours[3] = np.nan

    assert not acceptance.judge(embedding(ours), photos, stored, 8).is_accepted


def test_a_copy_of_a_photo_is_not_its_nearest_other(stored):
    doubled = np.concatenate([stored, stored])

    once, twice = acceptance.nearest_distances(stored), acceptance.nearest_distances(doubled)
    assert np.allclose(once, twice[:40])


def test_a_batch_that_changes_its_vectors_shows(stored, photos):
    def embed(pixels: np.ndarray) -> np.ndarray:
        vectors = stored[pixels[:, 0, 0, 0]].copy()
        vectors[:, 0] += 0.001 * (len(pixels) == 4)
        return vectors

    assert acceptance.composition(embed, photos, 8) == pytest.approx(0.001, rel=1e-2)
    assert acceptance.composition(embed, photos, 2) == 0
