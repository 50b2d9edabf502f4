"""A moving average of a model's weights, which is steadier than the weights of the last step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from embedder_service.model import EmbeddingModel


class MovingAverage:
    """Exponential; a young one forgets faster: the decay is (1 + n) / (10 + n) at first."""

    def __init__(self, model: EmbeddingModel, decay: float) -> None:
        self._decay = decay
        self._averaged = AveragedModel(model, multi_avg_fn=self._blend, use_buffers=True)

    @property
    def model(self) -> EmbeddingModel:
        """A model of its own, with the averages."""
        return cast(EmbeddingModel, self._averaged.module)

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Everything it is, by name."""
        return self._averaged.state_dict()

    def restore(self, tensors: dict[str, Tensor]) -> None:
        self._averaged.load_state_dict(tensors)

    def update(self, model: EmbeddingModel) -> None:
        """After a step."""
        self._averaged.update_parameters(model)

    @torch.no_grad()
    def _blend(
        self, averages: Sequence[Tensor], current: Sequence[Tensor], taken: Tensor | int
    ) -> None:
        steps = float(taken)
        decay = min(self._decay, (1 + steps) / (10 + steps))
        if torch.is_floating_point(averages[0]):
            torch._foreach_lerp_(list(averages), list(current), 1 - decay)
        else:
            torch._foreach_copy_(list(averages), list(current))
