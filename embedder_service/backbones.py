"""The bodies that torchvision has, and where their ImageNet weights come from."""

from __future__ import annotations

import hashlib
import sys
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import safetensors.torch
import torch
import torchvision.models
from safetensors import SafetensorError
from torch import Tensor, nn

from embedder_service.spec import ModelError

# torchvision's own name, the channels of the last feature map, the ImageNet weights.
_BODIES: Mapping[str, tuple[str, int, str]] = {
    "resnet152": ("resnet152", 2048, "IMAGENET1K_V2"),
    "resnet50": ("resnet50", 2048, "IMAGENET1K_V2"),
    "resnet18": ("resnet18", 512, "IMAGENET1K_V1"),
    "vgg16": ("vgg16", 512, "IMAGENET1K_V1"),
    "vgg19": ("vgg19", 512, "IMAGENET1K_V1"),
    "mobilenet": ("mobilenet_v3_large", 960, "IMAGENET1K_V2"),
}


def body_channels(backbone: str) -> int:
    """The channels of the backbone's last feature map: the dimension of its pooling layer."""
    return _BODIES[backbone][1]


def make_body(backbone: str) -> nn.Module:
    """The network up to its last feature map, with weights drawn at random."""
    network = getattr(torchvision.models, _BODIES[backbone][0])(weights=None)
    if not backbone.startswith("resnet"):
        return cast(nn.Module, network.features)
    del network.avgpool, network.fc
    return nn.Sequential(OrderedDict(network.named_children()))


def pretrained(backbone: str, weights: str | Path) -> Mapping[str, Tensor]:
    """torchvision's tensors, by torchvision's names: "imagenet", or a file. Raises ModelError."""
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
    """From torch's own cache, filled first; a bar moves once something comes, on a terminal."""
    cached = Path(torch.hub.get_dir(), "checkpoints", name)
    try:
        if not cached.is_file():
            cached.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(
                published.url, str(cached), _hash_prefix(name), progress=sys.stderr.isatty()
            )
    except (OSError, RuntimeError) as error:
        raise ModelError(
            f"weights: expected ImageNet's for {backbone} from torchvision's site, got {error}. "
            f"Bring the file {name} (its SHA-256 begins with {_hash_prefix(name)}) and name its "
            "path as the weights"
        ) from error
    return _read_published(cached, published, name)


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
