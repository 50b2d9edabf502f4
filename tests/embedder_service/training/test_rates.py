"""The search for a learning rate."""

from __future__ import annotations

from pathlib import Path

import pytest

from embedder_service.training.data import Catalogue
from embedder_service.training.rates import LOWEST, RateCurve, draw_rates, find_rate
from embedder_service.training.settings import FinetuneSettings

pytestmark = pytest.mark.torch


def test_the_suggestion_is_a_tenth_of_where_the_loss_was_least():
    assert RateCurve((1e-3, 1e-2, 1e-1), (3.0, 1.0, 5.0)).suggestion == pytest.approx(1e-3)


def test_rates_grow_from_the_lowest_until_the_loss_is_lost(tiny: Catalogue, tmp_path: Path):
    settings = FinetuneSettings(weights="none", side=32, batch=8, dimension=16)
    curve = find_rate(tiny, settings, steps=8)
    draw_rates(curve, tmp_path / "rates.png")

    assert curve.rates[0] == pytest.approx(LOWEST)
    assert list(curve.rates) == sorted(curve.rates)
    assert 2 <= len(curve.losses) <= 8
    assert (tmp_path / "rates.png").read_bytes().startswith(b"\x89PNG")
