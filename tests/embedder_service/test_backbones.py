import pytest
import safetensors.torch
import torch

from embedder_service.model import build
from embedder_service.spec import ModelError, ModelSpec, Preprocessing

pytestmark = pytest.mark.torch


def spec(backbone: str = "resnet18") -> ModelSpec:
    return ModelSpec(backbone=backbone, preprocessing=Preprocessing(resize=36, crop=32))


@pytest.fixture(scope="module")
def model():
    return build(spec(), seed=1)


def test_a_body_is_filled_from_a_file_of_torchvisions_tensors(tmp_path, model):
    path = tmp_path / "resnet18.safetensors"
    safetensors.torch.save_file(model.body.state_dict(), path)

    filled = build(spec(), weights=path, seed=8)

    assert torch.equal(filled.body.conv1.weight, model.body.conv1.weight)
    assert not torch.equal(filled.embedding[3].weight, model.embedding[3].weight)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent.pth", None, "weights: expected none, imagenet or a file, got .*absent.pth"),
        ("other.pth", b"pickle", "expected resnet18-f37072fd.pth with a SHA-256 that begins with"),
        ("x.safetensors", b"none", "weights: expected a safetensors file, got"),
    ],
)
def test_weights_that_are_not_the_published_ones_are_refused(tmp_path, name, content, message):
    path = tmp_path / name
    if content:
        path.write_bytes(content)

    with pytest.raises(ModelError, match=message):
        build(spec(), weights=path)


def test_weights_of_another_backbone_are_refused(tmp_path):
    path = tmp_path / "resnet18.safetensors"
    safetensors.torch.save_file(build(spec()).body.state_dict(), path)

    with pytest.raises(ModelError, match="expected torchvision's tensors of vgg16, got Error"):
        build(spec("vgg16"), weights=path)


def test_without_a_network_the_file_to_bring_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nobody listens to what is discarded

    with pytest.raises(ModelError) as error:
        build(spec(), weights="imagenet")

    assert "resnet18-f37072fd.pth (its SHA-256 begins with f37072fd)" in str(error.value)
    assert "://" not in str(error.value)
