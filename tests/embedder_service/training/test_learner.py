"""Rates by layer, bodies that rest, one cycle, half precision; every backbone takes a step."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from embedder_service.model import build
from embedder_service.spec import BACKBONES
from embedder_service.training.learner import Learner
from embedder_service.training.recipes import Labels
from embedder_service.training.settings import FinetuneSettings
from embedder_service.training.starting import model_spec

pytestmark = pytest.mark.torch

LABELS = Labels(("dress", "shirt", "skirt"), ("a", "b"))
SETTINGS = FinetuneSettings(weights="none", side=32, epochs=10, batch=4, dimension=16)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_backbone_learns_a_step(backbone: str):
    learner = learner_of(replace(SETTINGS, backbone=backbone, rate=1e-3))
    before = next(learner.model.body.parameters()).detach().clone()
    loss = step(learner)

    assert math.isfinite(loss)
    assert not torch.equal(before, next(learner.model.body.parameters()))
    assert learner.evaluated(pixels()).shape == (4, 16)


def test_resnet50s_pooling_layer_is_a_vector_of_2048():
    learner = learner_of(replace(SETTINGS, backbone="resnet50", layer="pooling"))

    assert math.isfinite(step(learner))
    assert learner.evaluated(pixels()).shape == (4, 2048)


def test_the_articles_head_is_as_it_is_described():
    model = build(model_spec(replace(SETTINGS, recipe="article", dimension=512), LABELS.classes))
    layers = [*model.embedding, *model.classifier]

    assert [type(layer).__name__ for layer in layers] == [
        *("MeanMaxPool", "BatchNorm1d", "Dropout", "Linear"),
        *("ReLU", "BatchNorm1d", "Dropout", "Linear"),
    ]
    assert [layer.p for layer in layers if isinstance(layer, nn.Dropout)] == [0.25, 0.5]
    assert [(layer.in_features, layer.out_features) for layer in (layers[3], layers[7])] == [
        (1024, 512),
        (512, 3),
    ]


def test_the_rate_follows_one_cycle():
    learner = learner_of(replace(SETTINGS, rate=0.01), batches=2)
    rates = []
    for _ in range(20):
        rates.append(learner.rate)
        step(learner)

    assert rates == pytest.approx([one_cycle(number, 20, 0.01) for number in range(20)])


def test_a_pretrained_body_learns_by_layers_once_it_has_rested(tmp_path: Path):
    body = build(model_spec(SETTINGS, ())).body.state_dict()
    save_file(body, tmp_path / "body.safetensors")
    learner = learner_of(
        replace(SETTINGS, recipe="article", weights=tmp_path / "body.safetensors", rate=0.01)
    )
    convolution, norm = learner.model.body.conv1, learner.model.body.bn1

    learner.thaw_body(3)
    assert not convolution.weight.requires_grad
    assert norm.weight.requires_grad
    assert learner.model.embedding[3].weight.requires_grad
    step(learner)
    learner.thaw_body(4)
    assert convolution.weight.requires_grad
    groups = learner.state()[1]["groups"]
    assert [group["max_lr"] for group in groups[:6:2]] == pytest.approx([0.0001, 0.001, 0.01])


def test_half_precision_scales_its_loss_and_goes_on_after_an_overflow():
    learner = learner_of(replace(SETTINGS, precision="float16", rate=1e-4))
    losses = [step(learner) for _ in range(3)]

    assert all(math.isfinite(loss) for loss in losses)
    assert learner.state()[1]["scaler"]["scale"] <= 2.0**13


def test_a_photo_without_labels_teaches_nothing():
    learner = learner_of(SETTINGS)
    loss = learner.step(pixels(), torch.full((4,), -1), torch.full((4,), -1))

    assert loss.item() == 0


def learner_of(settings: FinetuneSettings, batches: int = 4) -> Learner:
    return Learner(settings, LABELS, batches, lambda _: None)


def step(learner: Learner) -> float:
    return learner.step(pixels(), torch.tensor([0, 1, 2, 0]), torch.tensor([0, 1, -1, 0])).item()


def pixels() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8, generator=generator)


def one_cycle(step: int, steps: int, peak: float) -> float:
    """Cosines: from a 25th of the peak up in a quarter of the steps, then down to nearly nought."""
    warm = 0.25 * steps - 1
    if step <= warm:
        low, high, share = peak / 25, peak, step / warm
    else:
        low, high, share = peak, peak / 25e4, (step - warm) / (steps - 1 - warm)
    return high + (low - high) * (1 + math.cos(math.pi * share)) / 2
