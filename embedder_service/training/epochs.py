"""What an epoch came to: a line of the training's table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """One line of the training's table.

    `top_1`, `top_3` and `top_5` are shares of validation photos whose class leads, or is among the
    first three or five. `item_recall_at_1`: how often a validation photo's nearest, among one
    training photo of each item, is of its own item. None where the catalogue has no such labels.
    `rate` is the head's at the epoch's end. `photos_per_second` counts the training alone,
    `seconds` the whole epoch.
    """

    number: int
    epochs: int
    side: int
    train_loss: float
    valid_loss: float | None
    top_1: float | None
    top_3: float | None
    top_5: float | None
    item_recall_at_1: float | None
    rate: float
    photos_per_second: float
    seconds: float

    @property
    def merit(self) -> float:
        """What early stopping compares: item recall, else top-1, else the loss; more is better."""
        loss = self.train_loss if self.valid_loss is None else self.valid_loss
        known = (self.item_recall_at_1, self.top_1, -loss)
        return next(figure for figure in known if figure is not None)


OnEpoch = Callable[[Epoch], None]
OnStep = Callable[[int, int], None]


def best_of(history: Sequence[Epoch]) -> Epoch:
    """The epoch of the greatest merit, the first of equals."""
    return max(history, key=lambda epoch: epoch.merit)


def is_spent(history: Sequence[Epoch], patience: int) -> bool:
    """Whether the best lies `patience` epochs back; never where that is 0."""
    return bool(patience and history) and history[-1].number - best_of(history).number >= patience
