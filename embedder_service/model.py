"""The network: uint8 pixels in, L2-normalised vectors out; and the name of the space it makes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from embedder_service.backbones import body_channels, make_body, pretrained
from embedder_service.spec import ModelError, ModelSpec, canonical_json

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
        self.body = make_body(spec.backbone)
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
        _fill_body(model, pretrained(spec.backbone, weights))
    return model.eval()


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
    if not spec.classes:
        return None
    if spec.head in ("retrieval", "pooling"):
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
