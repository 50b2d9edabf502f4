"""Which epoch is the best, and when there have been enough."""

from __future__ import annotations

import pytest

from embedder_service.training.epochs import Epoch, best_of, is_spent

pytestmark = pytest.mark.torch


def test_the_best_is_the_first_of_equals():
    assert best_of(epochs(0.2, 0.5, 0.5, 0.1)).number == 2


@pytest.mark.parametrize(
    ("recalls", "patience", "spent"),
    [
        ((0.5, 0.4), 2, False),
        ((0.5, 0.4, 0.5), 2, True),
        ((0.5, 0.4, 0.6), 2, False),
        ((0.5, 0.1, 0.1), 0, False),
        ((), 2, False),
    ],
)
def test_patience_ends_that_many_epochs_after_the_best(
    recalls: tuple[float, ...], patience: int, spent: bool
):
    assert is_spent(epochs(*recalls), patience) is spent


def test_merit_is_item_recall_or_top_1_or_the_loss():
    assert epoch(1, recall=0.4, top_1=0.9).merit == 0.4
    assert epoch(1, recall=None, top_1=0.9).merit == 0.9
    assert epoch(1, recall=None, top_1=None).merit == -3.0


def epochs(*recalls: float) -> list[Epoch]:
    return [epoch(number, recall, top_1=0.5) for number, recall in enumerate(recalls, 1)]


def epoch(number: int, recall: float | None, top_1: float | None) -> Epoch:
    return Epoch(
        number=number,
        epochs=9,
        side=32,
        train_loss=2.0,
        valid_loss=3.0,
        top_1=top_1,
        top_3=top_1,
        top_5=top_1,
        item_recall_at_1=recall,
        rate=0.001,
        photos_per_second=10.0,
        seconds=1.0,
    )
