"""The model as an engine computes it: in float32 as written, or with a body in 16 bits."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.fx.experimental.optimization import fuse

from embedder_service.model import EmbeddingModel

_SIXTEEN_BITS = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def network_of(model: EmbeddingModel, precision: str) -> nn.Module:
    """uint8 [n, 3, crop, crop] -> float32 [n, d], in evaluation mode on the CPU."""
    if precision == "float32":
        return model.eval()
    return SixteenBitNetwork(model, _SIXTEEN_BITS[precision]).eval()


class SixteenBitNetwork(nn.Module):
    """The body in 16 bits, channels last, each BatchNorm folded into its convolution.

    What comes after the body costs next to nothing and stays in float32, as do the sums inside the
    convolutions.
    """

    def __init__(self, model: EmbeddingModel, dtype: torch.dtype) -> None:
        super().__init__()
        self._dtype = dtype
        # fuse works on a copy.
        self.body = fuse(model.body.eval()).to(dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.embedding = model.embedding
        self.register_buffer("mean", cast(Tensor, model.mean))
        self.register_buffer("std", cast(Tensor, model.std))

    def forward(self, images: Tensor) -> Tensor:
        mean, std = cast(Tensor, self.mean), cast(Tensor, self.std)
        pixels = ((images.float() - mean) / std).to(
            dtype=self._dtype, memory_format=torch.channels_last
        )
        return nn.functional.normalize(self.embedding(self.body(pixels).float()))
