"""What a training asks of whoever keeps it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from torch import Tensor

from embedder_service.training.epochs import Epoch
from embedder_service.training.learner import Learner


class Keeper(Protocol):
    """Somewhere to go on from: a `Run`, or nowhere."""

    def restore(self, learner: Learner) -> list[Epoch]:
        """The learner goes on from the last epoch's end; the epochs that are done."""

    def best(self) -> Mapping[str, Tensor]:
        """The best epoch's weights, as `keep` was given them."""

    def keep(
        self, learner: Learner, history: Sequence[Epoch], best: Mapping[str, Tensor] | None
    ) -> None:
        """After an epoch; `best` where it was the best so far."""


class Nowhere:
    """The training leaves nothing but its model."""

    def restore(self, learner: Learner) -> list[Epoch]:  # noqa: ARG002
        return []

    def best(self) -> Mapping[str, Tensor]:
        return {}

    def keep(
        self, learner: Learner, history: Sequence[Epoch], best: Mapping[str, Tensor] | None
    ) -> None:
        pass


NOWHERE = Nowhere()
