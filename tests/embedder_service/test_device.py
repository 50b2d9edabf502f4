import numpy as np
import pytest
import torch

from embedder_service.device import EagerDevice
from embedder_service.spec import ModelError

pytestmark = pytest.mark.torch


def test_a_batch_becomes_unit_vectors(small_model):
    device = EagerDevice(small_model, "cpu")

    vectors = device.embed(np.random.default_rng(0).integers(0, 256, (3, 3, 64, 64), np.uint8))

    assert (device.name, device.precision) == ("cpu", "float32")
    assert (vectors.shape, vectors.dtype) == ((3, 512), np.float32)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1)


def test_a_vector_hardly_depends_on_its_batch(small_model):
    device = EagerDevice(small_model, "cpu")
    images = np.random.default_rng(0).integers(0, 256, (8, 3, 64, 64), np.uint8)

    together = device.embed(images)
    alone = np.concatenate([device.embed(image[np.newaxis]) for image in images])

    assert np.abs(together - alone).max() < 1e-5


def test_the_warm_up_measures_the_pace(small_model):
    pace = EagerDevice(small_model, "cpu").warm_up(max_batch=4)

    assert pace.max_batch == 4
    assert 0 < pace.predict(1) <= pace.predict(4) <= pace.predict(8)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_refused(small_model):
    with pytest.raises(ModelError, match="device: expected a CUDA device"):
        EagerDevice(small_model, "cuda")
