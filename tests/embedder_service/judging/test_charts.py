from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from embedder_service.judging import charts
from embedder_service.judging.classes import confusion
from embedder_service.judging.findings import Similarities
from embedder_service.judging.pairs import thresholds

pytestmark = pytest.mark.torch


def test_charts_take_their_colours_from_the_page():
    others, same = np.zeros(1000), np.linspace(0.5, 1, 100)
    drawn = charts.similarities(
        Similarities(
            name="fine-tuned",
            is_judged=True,
            other_pairs=1000,
            same_pairs=100,
            thresholds=tuple(thresholds(others, same)),
            others=others,
            same=same,
        )
    )

    assert drawn.startswith("<svg")
    assert "var(--ours)" in drawn
    assert "#01020" not in drawn
    assert "100% here" in drawn  # their bar goes through the roof


def test_names_of_classes_are_text():
    drawn = charts.confusion(confusion(np.arange(2), np.arange(2), ["<b>bold</b>", "a & b"], 9))

    assert "&lt;b&gt;bold" in drawn
    assert "a &amp; b" in drawn
    assert "<b>" not in drawn


def test_a_map_is_see_through_where_no_photo_lies():
    squares = [Image.new("RGB", (44, 44), colour) for colour in ("#ff0000", "#00ff00")]

    drawn = charts.flat_map(squares, np.array([[0.0, 0.0], [1.0, 1.0]]), ["#0000ff", ""])

    assert drawn.getpixel((800, 500)) == (0, 0, 0, 0)
    assert drawn.getpixel((0, 0)) == (0, 0, 255, 255)  # the frame of the first
    assert drawn.getpixel((20, 20)) == (255, 0, 0, 255)
    assert drawn.getpixel((drawn.width - 20, drawn.height - 20)) == (0, 255, 0, 255)
