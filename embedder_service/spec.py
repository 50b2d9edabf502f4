"""What a model is, as data: it travels with the weights and decides the space. No torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

BACKBONES = ("resnet152", "resnet50", "resnet18", "vgg16", "vgg19", "mobilenet")
LAYERS = {"article": "embedding", "retrieval": "embedding", "pooling": "pooling"}  # by head

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class ModelError(Exception):
    """A model that cannot be used. The message names what, where, and what was expected."""


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """Upright RGB pixels -> what the body sees.

    The shorter side becomes `resize` pixels, a centred square of `crop` pixels is kept, values are
    divided by 255, less `mean`, over `std`, by channel.
    """

    resize: int
    crop: int
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD

    def __post_init__(self) -> None:
        if not 32 <= self.crop <= self.resize <= 1024:
            raise ModelError(
                "preprocessing: expected 32 <= crop <= resize <= 1024, "
                f"got crop {self.crop} and resize {self.resize}"
            )


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """Everything about a model but its weights.

    `dimension` is that of its vectors: 512 for the trained heads, the body's channels for
    `pooling`. `classes` are the labels of the training head, in the order of its logits, or none.
    """

    backbone: str = "resnet152"
    head: str = "article"
    dimension: int = 512
    preprocessing: Preprocessing = field(
        default_factory=lambda: Preprocessing(resize=232, crop=224)
    )
    classes: tuple[str, ...] = ()
    normalisation: str = "l2"

    def __post_init__(self) -> None:
        _expect("backbone", self.backbone, BACKBONES)
        _expect("head", self.head, tuple(LAYERS))
        _expect("normalisation", self.normalisation, ("l2",))

    @property
    def layer(self) -> str:
        """The layer whose output is the vector."""
        return LAYERS[self.head]

    def space(self) -> dict[str, Any]:
        """The part of the specification that decides the space, beside the tensors."""
        return {
            "architecture": {"backbone": self.backbone, "head": self.head},
            "layer": self.layer,
            "preprocessing": asdict(self.preprocessing),
            "normalisation": self.normalisation,
            "dimension": self.dimension,
        }

    def to_json(self) -> str:
        return canonical_json(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> ModelSpec:
        """The specification that `to_json` wrote. Raises ModelError."""
        try:
            return cls._from_fields(json.loads(text))
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"specification: expected that of a model, got {error!r}") from error

    @classmethod
    def _from_fields(cls, fields: Mapping[str, Any]) -> ModelSpec:
        preprocessing = fields["preprocessing"]
        return cls(
            backbone=fields["backbone"],
            head=fields["head"],
            dimension=int(fields["dimension"]),
            preprocessing=Preprocessing(
                resize=int(preprocessing["resize"]),
                crop=int(preprocessing["crop"]),
                mean=_channels(preprocessing["mean"]),
                std=_channels(preprocessing["std"]),
            ),
            classes=tuple(str(label) for label in fields["classes"]),
            normalisation=fields["normalisation"],
        )


def canonical_json(value: Any) -> str:
    """One text for one value, on every machine: it is hashed."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _channels(values: Any) -> tuple[float, float, float]:
    red, green, blue = values
    return float(red), float(green), float(blue)


def _expect(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ModelError(f"{name}: expected {' or '.join(known)}, got {value!r}")
