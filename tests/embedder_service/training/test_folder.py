"""One's own photographs, in whatever tree they lie."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from embedder_service.training.data import CatalogueError
from embedder_service.training.folder import read_image_folder
from embedder_service.training.read import read_catalogue


def test_photos_without_folders_are_items_of_their_own(tmp_path: Path):
    _photos(tmp_path, *(f"{number:02}.png" for number in range(20)))
    catalogue = read_catalogue(tmp_path)

    assert catalogue.categories == ()
    assert len(catalogue.items) == 20
    assert Counter(photo.split for photo in catalogue.photos) == {"train": 16, "val": 2, "test": 2}
    assert catalogue.photos[0].attributes == {}


def test_one_level_of_folders_is_the_category(tmp_path: Path):
    _photos(tmp_path, "cats/a.jpg", "cats/b.JPEG", "dogs/a.webp")
    catalogue = read_image_folder(tmp_path)

    assert catalogue.categories == ("cats", "dogs")
    assert catalogue.items == ("cats/a.jpg", "cats/b.JPEG", "dogs/a.webp")
    assert catalogue.photos[2].attributes == {"category": "dogs"}


def test_two_levels_are_category_and_item(tmp_path: Path):
    _photos(tmp_path, *(f"shoes/boot-{item}/{n}.jpg" for item in range(5) for n in range(4)))
    catalogue = read_catalogue(tmp_path)

    assert catalogue.items[0] == "shoes/boot-0"
    assert [photo.split for photo in catalogue.photos[:4]] == ["train", "train", "val", "test"]
    assert catalogue.new_items == {"shoes/boot-4"}


def test_folders_of_splits_are_taken_at_their_word(tmp_path: Path):
    _photos(tmp_path, "train/shoes/boot/1.jpg", "valid/shoes/boot/2.jpg", "test/hats/3.jpg")
    catalogue = read_catalogue(tmp_path)

    assert [photo.split for photo in catalogue.photos] == ["test", "train", "val"]
    assert [photo.category for photo in catalogue.photos] == ["hats", "shoes", "shoes"]
    assert catalogue.items == ("shoes/boot", "test/hats/3.jpg")


def test_a_category_called_test_is_no_split_beside_others(tmp_path: Path):
    _photos(tmp_path, "test/1.jpg", "shoes/1.jpg")

    assert read_image_folder(tmp_path).categories == ("shoes", "test")
    assert not read_image_folder(tmp_path).has_splits


def test_hidden_files_and_other_files_are_left_out(tmp_path: Path):
    _photos(tmp_path, "a.jpg", ".thumbnails/a.jpg")
    (tmp_path / "notes.txt").write_text("not an image")

    assert [photo.photo_id for photo in read_image_folder(tmp_path).photos] == ["a.jpg"]


def test_of_three_lone_photos_one_is_held_out_whichever_is_damaged(tmp_path: Path):
    _photos(tmp_path, *(f"{number}.png" for number in range(4)))
    (tmp_path / "2.png").write_text("not an image")

    assert [photo.split for photo in read_catalogue(tmp_path).photos] == ["train", "train", "test"]


def test_a_folder_without_images_is_refused(tmp_path: Path):
    with pytest.raises(CatalogueError, match="expected JPEG, PNG or WebP files below"):
        read_catalogue(tmp_path)


def test_no_folder_at_all_is_refused(tmp_path: Path):
    with pytest.raises(CatalogueError, match="images: expected a folder"):
        read_catalogue(tmp_path / "nowhere")


def _photos(folder: Path, *names: str) -> None:
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.effect_mandelbrot((60, 48), (-2, -1, 1, 1 + number / 50), 40).convert("RGB").save(
            path
        )
