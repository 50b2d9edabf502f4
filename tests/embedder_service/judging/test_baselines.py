from __future__ import annotations

from pathlib import Path

import pytest
import torch

from embedder_service.judging.baselines import backbone_before
from embedder_service.spec import ModelError, ModelSpec, Preprocessing
from embedder_service.training.data import Catalogue

pytestmark = pytest.mark.torch

_SPEC = ModelSpec(
    backbone="resnet18", dimension=16, preprocessing=Preprocessing(resize=32, crop=32)
)


def test_without_weights_the_model_itself_stands_beside_untrained(tiny: Catalogue):
    name, model = backbone_before(_SPEC, tiny.photos, "none")

    assert (name, model.spec) == ("untrained backbone", _SPEC)
    assert not model.training


def test_weights_of_a_file_make_the_backbones_own_pooling(tiny: Catalogue, tmp_path: Path):
    import safetensors.torch
    from torchvision.models import resnet18

    safetensors.torch.save_file(resnet18().state_dict(), tmp_path / "body.safetensors")

    name, model = backbone_before(_SPEC, tiny.photos, str(tmp_path / "body.safetensors"))

    assert name == "backbone before"
    assert (model.spec.head, model.spec.dimension) == ("pooling", 512)
    assert model.spec.preprocessing == _SPEC.preprocessing
    assert model.embed(torch.zeros(1, 3, 32, 32, dtype=torch.uint8)).shape == (1, 512)


def test_a_file_that_is_not_there_is_refused(tiny: Catalogue):
    with pytest.raises(ModelError, match="weights: expected none, imagenet or a file, got soup"):
        backbone_before(_SPEC, tiny.photos, "soup")
