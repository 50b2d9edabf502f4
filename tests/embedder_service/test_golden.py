import dataclasses

import numpy as np
import pytest

from embedder_service import checkpoint, golden
from embedder_service.devices.eager import EagerDevice
from embedder_service.spec import ModelError

pytestmark = pytest.mark.torch


def unit(*rows: tuple[float, ...]) -> np.ndarray:
    vectors = np.array(rows, np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def loaded(model_folder):
    return checkpoint.load(model_folder)


@pytest.mark.parametrize("max_batch", [1, 2, 32])
def test_this_process_agrees_with_the_models_maker(loaded, max_batch):
    agreement = golden.check(loaded, EagerDevice(loaded.model, "cpu").embed, max_batch)

    assert agreement.cosine == pytest.approx(1)
    assert agreement.error < 1e-3
    assert not agreement.is_doubtful


def test_an_error_is_measured_against_the_nearest_other_photo():
    stored = unit((1, 0, 0), (1, 0.2, 0), (0, 0, 1))
    ours = unit((1, 0.1, 0), (1, 0.2, 0), (0, 0, 1))

    agreement = golden.compare(ours, stored)

    assert agreement.cosine == pytest.approx(0.995, abs=1e-3)
    assert agreement.error == pytest.approx(0.5, abs=0.02)
    assert agreement.is_doubtful


def test_other_vectors_keep_the_process_from_serving(loaded):
    embed = EagerDevice(loaded.model, "cpu").embed
    with pytest.raises(
        ModelError, match=r"expected cosines of at least 0.99 .*, got -1.0000 by simplejpeg"
    ):
        golden.check(loaded, lambda images: -embed(images), 4)


def test_not_a_number_keeps_the_process_from_serving(loaded):
    def embed(images: np.ndarray) -> np.ndarray:
        vectors = np.zeros((len(images), 512), np.float32)
        vectors[-1] = np.nan
        return vectors

    with pytest.raises(ModelError, match="got nan"):
        golden.check(loaded, embed, 4)


def test_a_model_without_golden_photos_is_not_served(loaded):
    bare = dataclasses.replace(loaded, golden_photos=())

    with pytest.raises(ModelError, match="golden photos: expected at least one"):
        golden.check(bare, EagerDevice(loaded.model, "cpu").embed, 4)


def test_a_golden_photo_that_does_not_decode_keeps_the_process_from_serving(loaded):
    first, *others = loaded.golden_photos
    damaged = dataclasses.replace(loaded, golden_photos=(first[:100], *others))

    with pytest.raises(ModelError, match="golden photos: expected images that decode here, got"):
        golden.check(damaged, EagerDevice(loaded.model, "cpu").embed, 4)


def test_a_single_golden_photo_has_no_nearest_other():
    agreement = golden.compare(unit((1, 0)), unit((1, 0)))

    assert agreement.cosine == 1
    assert np.isnan(agreement.error)
