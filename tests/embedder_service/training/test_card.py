"""What goes beside the weights."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from embedder_service.judging.evaluate import Figures, Row
from embedder_service.training.card import golden_photos, model_card
from embedder_service.training.data import Catalogue, Photo
from embedder_service.training.finetune import FinetuneSettings

pytestmark = pytest.mark.torch


def test_golden_photos_are_the_files_themselves_of_different_items(tiny: Catalogue):
    golden = golden_photos(tiny)
    files = {photo.path.read_bytes(): photo for photo in tiny.photos}

    assert len(golden) == 8
    assert len({files[photo].item_id for photo in golden}) == 8
    assert {files[photo].category for photo in golden} == set(tiny.categories)


def test_large_and_other_photos_become_small_jpegs(tmp_path: Path):
    Image.new("RGBA", (1200, 800), (200, 40, 40, 128)).save(tmp_path / "a.png")
    photo = Photo(photo_id="a.png", path=tmp_path / "a.png", item_id="a")
    (content,) = golden_photos(Catalogue(tmp_path, (photo,)))

    with Image.open(io.BytesIO(content)) as image:
        assert (image.format, image.size) == ("JPEG", (512, 341))


def test_a_golden_photo_with_a_box_is_that_part_of_it(tmp_path: Path):
    Image.new("RGB", (60, 40), (200, 40, 40)).save(tmp_path / "a.jpg")
    photo = Photo(photo_id="a.jpg", path=tmp_path / "a.jpg", item_id="a", box=(10, 5, 60, 38))
    (content,) = golden_photos(Catalogue(tmp_path, (photo,)))

    with Image.open(io.BytesIO(content)) as image:
        assert (image.format, image.size) == ("JPEG", (50, 33))


def test_the_card_tells_data_recipe_and_figures(tiny: Catalogue):
    figures = Figures(
        item_recall_at_1=0.875,
        new_item_recall_at_1=None,
        item_precision_at_10=0.5,
        category_recall_at_1=1.0,
        category_precision_at_10=0.9,
    )
    card = model_card(tiny, FinetuneSettings(), [Row("fine-tuned", figures)])

    assert "- 48 photos of 12 items in 3 categories" in card
    assert "| fine-tuned | 0.875 | – | 0.500 | 1.000 | 0.900 |" in card
    assert "12 held-out photos, looked for among 36 others" in card
    assert "- one cycle up to a rate of 0.002 at the head\n" in card
    assert "- gradients of a norm of 5 at most\n" in card
