"""The network: uint8 pixels in, L2-normalised vectors out; and the name of the space it makes."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import safetensors.torch
import torch
import torchvision.models
from safetensors import SafetensorError
from torch import Tensor, nn

from embedder_service.spec import ModelError, ModelSpec, canonical_json

# torchvision's own name, the channels of the last feature map, the ImageNet weights.
_BODIES: Mapping[str, tuple[str, int, str]] = {
    "resnet152": ("resnet152", 2048, "IMAGENET1K_V2"),
    "resnet50": ("resnet50", 2048, "IMAGENET1K_V2"),
    "resnet18": ("resnet18", 512, "IMAGENET1K_V1"),
    "vgg16": ("vgg16", 512, "IMAGENET1K_V1"),
    "vgg19": ("vgg19", 512, "IMAGENET1K_V1"),
    "mobilenet": ("mobilenet_v3_large", 960, "IMAGENET1K_V2"),
}
_CLASSIFIER = "classifier."


class EmbeddingModel(nn.Module):
    """Body -> feature map -> embedding -> (in training only) classifier.

    All methods take uint8 pixels [n, 3, crop, crop] on the model's device; what `raw` returns
    carries gradients. Made by `build` or `checkpoint.load`.
    """

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        channels = body_channels(spec.backbone)
        self.spec = spec
        self.body = _body(spec.backbone)
        self.embedding = _embedding(spec, channels)
        self.classifier = _classifier(spec)
        # Not among the saved tensors (the specification has them), and real even while the rest is
        # built on the meta device.
        for name in ("mean", "std"):
            values = torch.tensor(getattr(spec.preprocessing, name), device="cpu")
            self.register_buffer(name, 255 * values.view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """The vectors: float32 [n, dimension], each of length 1."""
        return self.embed(images)

    def embed(self, images: Tensor) -> Tensor:
        """The vectors: float32 [n, dimension], each of length 1."""
        return nn.functional.normalize(self.raw(images).float())

    def raw(self, images: Tensor) -> Tensor:
        """The embedding layer's output before normalisation: [n, dimension]."""
        return cast(Tensor, self.embedding(self.features(images)))

    def features(self, images: Tensor) -> Tensor:
        """The body's last feature map: [n, channels, height, width]."""
        mean, std = cast(Tensor, self.mean), cast(Tensor, self.std)
        return cast(Tensor, self.body((images.float() - mean) / std))

    def classify(self, raw: Tensor) -> Tensor:
        """Logits [n, classes] from what `raw` returned. Raises ModelError without classes."""
        if self.classifier is None:
            raise ModelError("classifier: expected a trained head with classes, got none")
        return cast(Tensor, self.classifier(raw))

    def space_id(self) -> str:
        """The embedding space: 64 hexadecimal digits."""
        return space_id(self.spec, self.state_dict())


def build(spec: ModelSpec, weights: str | Path = "none", seed: int = 0) -> EmbeddingModel:
    """A new model, in evaluation mode, on the CPU.

    `weights` fill the body: "none" (drawn from `seed`), "imagenet" (torchvision's, from its cache
    or the network), or a file with torchvision's tensors (.safetensors, or its published .pth). The
    head is always drawn from `seed`. Raises ModelError.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = EmbeddingModel(spec)
    if weights != "none":
        _fill_body(model, _backbone_tensors(spec.backbone, weights))
    return model.eval()


def body_channels(backbone: str) -> int:
    """The channels of the backbone's last feature map: the dimension of its pooling layer."""
    return _BODIES[backbone][1]


def space_id(spec: ModelSpec, tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of what decides a vector: the specification's part and the tensors up to its layer.

    The classifier is not among them, nor device, precision, decoder or versions.
    """
    digest = hashlib.sha256(canonical_json(spec.space()).encode())
    for name in sorted(name for name in tensors if not name.startswith(_CLASSIFIER)):
        array = np.ascontiguousarray(tensors[name].detach().cpu().numpy())
        header = {"name": name, "dtype": array.dtype.name, "shape": list(tensors[name].shape)}
        digest.update(canonical_json(header).encode())
        little_endian = array.astype(array.dtype.newbyteorder("<"), copy=False)
        digest.update(little_endian.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


class MeanMaxPool(nn.Module):
    """The mean and the maximum of a feature map, joined: [n, c, h, w] -> [n, 2c]."""

    def forward(self, features: Tensor) -> Tensor:
        return torch.cat([features.mean(dim=(2, 3)), features.amax(dim=(2, 3))], dim=1)


class GeneralisedMeanPool(nn.Module):
    """(mean of x^p)^(1/p) with a learnt p: [n, c, h, w] -> [n, c].

    Radenovic et al., "Fine-tuning CNN image retrieval with no human annotation" (2018); p starts at
    their 3.
    """

    def __init__(self) -> None:
        super().__init__()
        self.power = nn.Parameter(torch.tensor(3.0))

    def forward(self, features: Tensor) -> Tensor:
        return features.clamp(min=1e-6).pow(self.power).mean(dim=(2, 3)).pow(1 / self.power)


def _body(backbone: str) -> nn.Module:
    network = getattr(torchvision.models, _BODIES[backbone][0])(weights=None)
    if not backbone.startswith("resnet"):
        return cast(nn.Module, network.features)
    del network.avgpool, network.fc
    return nn.Sequential(OrderedDict(network.named_children()))


def _embedding(spec: ModelSpec, channels: int) -> nn.Module:
    if spec.head == "pooling":
        if spec.dimension != channels:
            raise ModelError(
                f"dimension: expected {channels}, that of {spec.backbone}'s pooling layer, "
                f"got {spec.dimension}"
            )
        return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    if spec.head == "retrieval":
        return nn.Sequential(
            GeneralisedMeanPool(),
            nn.Linear(channels, spec.dimension),
            nn.BatchNorm1d(spec.dimension),
        )
    return nn.Sequential(
        MeanMaxPool(),
        nn.BatchNorm1d(2 * channels),
        nn.Dropout(0.25),
        nn.Linear(2 * channels, spec.dimension),
    )


def _classifier(spec: ModelSpec) -> nn.Module | None:
    if not spec.classes or spec.head == "pooling":
        return None
    if spec.head == "retrieval":
        return nn.Linear(spec.dimension, len(spec.classes), bias=False)
    return nn.Sequential(
        nn.ReLU(),
        nn.BatchNorm1d(spec.dimension),
        nn.Dropout(0.5),
        nn.Linear(spec.dimension, len(spec.classes)),
    )


def _fill_body(model: EmbeddingModel, tensors: Mapping[str, Tensor]) -> None:
    wanted = model.body.state_dict()
    prefix = "" if model.spec.backbone.startswith("resnet") else "features."
    found = {name: tensors[prefix + name] for name in wanted if prefix + name in tensors}
    try:
        model.body.load_state_dict(found)
    except RuntimeError as error:
        problems = " ".join(str(error).split())[:400]
        raise ModelError(
            f"weights: expected torchvision's tensors of {model.spec.backbone}, got {problems}"
        ) from error


def _backbone_tensors(backbone: str, weights: str | Path) -> Mapping[str, Tensor]:
    published = _published(backbone)
    name = published.url.rsplit("/", 1)[-1]
    if weights == "imagenet":
        return _download(backbone, published, name)
    path = Path(weights)
    if not path.is_file():
        raise ModelError(f"weights: expected none, imagenet or a file, got {weights}")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    return _read_published(path, published, name)


def _published(backbone: str) -> Any:
    function, _, version = _BODIES[backbone]
    return torchvision.models.get_model_weights(function)[version]


def _download(backbone: str, published: Any, name: str) -> Mapping[str, Tensor]:
    try:
        tensors = published.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except (OSError, RuntimeError) as error:
        raise ModelError(
            f"weights: expected ImageNet's for {backbone} from torchvision's site, got {error}. "
            f"Bring the file {name} (its SHA-256 begins with {_hash_prefix(name)}) and name its "
            "path as the weights"
        ) from error
    return cast(Mapping[str, Tensor], tensors)


def _read_published(path: Path, published: Any, name: str) -> Mapping[str, Tensor]:
    """torchvision publishes .pth alone: read if it has the published hash, and tensors only."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if not digest.startswith(_hash_prefix(name)):
        raise ModelError(
            f"weights: expected {name} with a SHA-256 that begins with {_hash_prefix(name)}, "
            f"got {path} with {digest}; other tensors are read from .safetensors"
        )
    tensors = torch.hub.load_state_dict_from_url(
        published.url,
        model_dir=str(path.parent),
        file_name=path.name,
        map_location="cpu",
        weights_only=True,
    )
    return cast(Mapping[str, Tensor], tensors)


def _read_safetensors(path: Path) -> Mapping[str, Tensor]:
    try:
        return safetensors.torch.load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"weights: expected a safetensors file, got {path}: {error}") from error


def _hash_prefix(name: str) -> str:
    return name.rsplit("-", 1)[-1].removesuffix(".pth")
