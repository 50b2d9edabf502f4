"""The moving average, against its formula."""

from __future__ import annotations

from typing import cast

import pytest
import torch
from torch import nn

from embedder_service.model import EmbeddingModel
from embedder_service.training.average import MovingAverage

pytestmark = pytest.mark.torch


def test_the_average_follows_its_formula():
    model, average = pair(0.9)
    weights = []
    for number in range(30):
        nn.init.constant_(model[0].weight, float(number))
        average.update(cast(EmbeddingModel, model))
        weights.append(number)
    expected = float(weights[0])
    for taken, weight in enumerate(weights[1:], 1):
        decay = min(0.9, (1 + taken) / (10 + taken))
        expected = decay * expected + (1 - decay) * weight

    assert average.model[0].weight.mean().item() == pytest.approx(expected, rel=1e-5)


def test_statistics_of_batch_norm_are_averaged_and_batches_counted():
    model, average = pair(0.5)
    for _ in range(3):
        model(torch.randn(8, 2))
        average.update(cast(EmbeddingModel, model))

    assert average.model[1].num_batches_tracked == 3
    assert not torch.equal(average.model[1].running_mean, model[1].running_mean)


def pair(decay: float) -> tuple[nn.Sequential, MovingAverage]:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    return model, MovingAverage(cast(EmbeddingModel, model), decay)
