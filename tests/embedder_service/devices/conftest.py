"""Photographs as the small model sees them, and its own vectors of them."""

import numpy as np
import pytest

from embedder_service import images
from embedder_service.model import EmbeddingModel


@pytest.fixture(scope="session")
def photos(draw, encode, small_model: EmbeddingModel) -> np.ndarray:
    """uint8 [20, 3, 64, 64]."""
    preprocessing = small_model.spec.preprocessing
    return np.concatenate(
        [images.read(encode(draw(number), "JPEG"), preprocessing) for number in range(20)]
    )


@pytest.fixture(scope="session")
def reference(small_model: EmbeddingModel, photos: np.ndarray) -> np.ndarray:
    """float32 [20, 512], as the model is written."""
    import torch

    with torch.inference_mode():
        return small_model.embed(torch.from_numpy(photos)).numpy()
