"""What the demo's last lines and its page own up to."""

import pytest
from lookalike_cli.demo.ending import not_learnt

from embedder_service.judging.evaluate import Figures, Row

pytestmark = pytest.mark.torch


def rows(colours: Figures, model: Figures) -> list[Row]:
    return [
        Row("chance", Figures()),
        Row("colour histogram", colours),
        Row("untrained", Figures()),
        Row("fine-tuned", model),
    ]


def test_a_model_that_colours_alone_equal_is_said_to_have_learnt_too_little():
    level = Figures(item_recall_at_1=0.5, category_recall_at_1=0.5)
    ahead_by_category = Figures(item_recall_at_1=0.5, category_recall_at_1=0.9)

    [said] = not_learnt(rows(level, ahead_by_category))

    assert "no better here than a colour histogram" in said


def test_without_items_the_categories_decide():
    low, high = Figures(category_recall_at_1=0.2), Figures(category_recall_at_1=0.6)

    assert not_learnt(rows(low, high)) == []
    assert not_learnt(rows(high, low))


def test_without_labels_nothing_is_said_of_it():
    assert not_learnt(rows(Figures(), Figures())) == []
