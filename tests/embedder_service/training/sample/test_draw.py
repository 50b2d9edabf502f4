"""The drawn catalogue: the same bytes from the same settings, and hard for a colour histogram."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from embedder_service.training.data import Catalogue
from embedder_service.training.deepfashion import read_deepfashion
from embedder_service.training.sample import SampleSettings, draw
from embedder_service.training.sample.draw import _planned


def test_the_same_settings_draw_the_same_bytes_with_any_number_of_workers(
    tiny_folder: Path, tiny_settings: SampleSettings, tmp_path: Path
):
    draw(tmp_path, replace(tiny_settings, workers=2))

    assert _contents(tmp_path) == _contents(tiny_folder)


def test_another_seed_draws_other_photos(
    tiny_folder: Path, tiny_settings: SampleSettings, tmp_path: Path
):
    draw(tmp_path, replace(tiny_settings, seed=1, items=3))

    ours, theirs = _contents(tmp_path), _contents(tiny_folder)
    assert not {body for name, body in ours.items() if name.endswith(".jpg")} & set(theirs.values())


def test_progress_is_told_after_each_item(tiny_settings: SampleSettings, tmp_path: Path):
    told: list[tuple[int, int]] = []
    draw(tmp_path, replace(tiny_settings, items=2), lambda *step: told.append(step))

    assert told == [(4, 8), (8, 8)]


def test_every_cloth_is_worn_by_several_items_of_the_same_category(tiny: Catalogue):
    wearers = Counter(
        (photo.category, photo.attributes["colour"], photo.attributes["print"])
        for photo in {photo.item_id: photo for photo in tiny.photos}.values()
    )

    assert min(wearers.values()) >= 2


def test_the_whole_catalogue_is_as_large_as_promised_and_shares_its_cloths():
    planned = [design for design, _ in _planned(SampleSettings())]
    of_category = Counter(design.category.name for design in planned)
    with_cloth = Counter((design.category.name, design.fabric) for design in planned)
    cuts = defaultdict(set)
    for design in planned:
        cuts[design.category.name, design.fabric].add(tuple(sorted(design.cut.items())))

    assert len(planned) == 300
    assert len(of_category) == 15
    assert min(with_cloth.values()) == 4
    assert all(len(cuts[key]) == with_cloth[key] for key in cuts)


def test_a_fifth_of_the_items_is_new_to_a_trained_model():
    new = [is_new for _, is_new in _planned(SampleSettings())]

    assert sum(new) == 60


def test_seen_items_keep_one_photo_for_the_test_and_one_for_validation(tiny: Catalogue):
    splits = defaultdict(list)
    for photo in tiny.photos:
        splits[photo.item_id].append(photo.split)

    kinds = Counter(tuple(sorted(each)) for each in splits.values())
    assert kinds == {("test", "train", "train", "val"): 9, ("test",) * 4: 3}


def test_boxes_hold_the_garment_and_lie_in_the_photo(tiny_folder: Path):
    for photo in read_deepfashion(tiny_folder).photos:
        assert photo.box is not None
        left, top, right, bottom = photo.box
        assert 0 <= left < right <= 96
        assert 0 <= top < bottom <= 96
        assert (right - left) * (bottom - top) > 96 * 96 * 0.05


def test_photos_are_jpegs_of_the_stated_side(tiny: Catalogue):
    with Image.open(tiny.photos[0].path) as image:
        assert (image.format, image.size) == ("JPEG", (96, 96))


def test_item_attributes_are_a_plain_csv(tiny_folder: Path):
    with (tiny_folder / "Anno" / "list_item_attributes.csv").open() as file:
        rows = list(csv.DictReader(file))

    assert len(rows) == 12
    assert set(rows[0]) == {"item_id", "category", "colour", "print"}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"items": 0}, "items: expected at least 1, got 0"),
        ({"photos_per_item": 2}, "photos_per_item: expected at least 3, got 2"),
        ({"side": 20}, "side: expected 48 to 1024 pixels, got 20"),
        ({"categories": 16}, "categories: expected 1 to 15, got 16"),
        ({"new_item_share": 1.0}, "new_item_share: expected 0 to 1, got 1.0"),
    ],
)
def test_settings_out_of_range_are_named(wrong: dict[str, int], message: str):
    with pytest.raises(ValueError, match=message):
        SampleSettings(**wrong)


def _contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
