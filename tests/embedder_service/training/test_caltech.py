"""Caltech-101's folders."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from embedder_service.training.caltech import read_caltech
from embedder_service.training.data import CatalogueError
from embedder_service.training.read import read_catalogue


@pytest.fixture
def caltech(tmp_path: Path) -> Path:
    """Three classes, and the pictures of anything; one is grey, as some of the true ones are."""
    for name, count in (("accordion", 10), ("ant", 5), ("yin_yang", 5), ("BACKGROUND_Google", 3)):
        folder = tmp_path / "101_ObjectCategories" / name
        folder.mkdir(parents=True)
        for number in range(1, count + 1):
            mode = "L" if number == 2 else "RGB"
            Image.new(mode, (30, 20), 9 * number).save(folder / f"image_{number:04}.jpg")
    (tmp_path / "101_ObjectCategories" / "BACKGROUND_Google" / "tmp").write_bytes(b"")
    return tmp_path


def test_folders_are_classes_and_no_two_photos_are_of_one_item(caltech: Path):
    catalogue = read_catalogue(caltech)

    assert catalogue.format_name == "caltech-101"
    assert catalogue.categories == ("accordion", "ant", "yin_yang")
    assert catalogue.photos[0].photo_id == "accordion/image_0001.jpg"
    assert not catalogue.has_pairs
    assert [len(catalogue.of(split)) for split in ("train", "val", "test")] == [16, 2, 2]
    assert catalogue.queries == catalogue.of("test")


def test_pictures_of_anything_are_left_out_and_that_is_said(caltech: Path):
    assert read_caltech(caltech).notes == ("BACKGROUND_Google: 3 photos of no class are left out",)


def test_the_folder_of_classes_itself_will_do(caltech: Path):
    assert len(read_catalogue(caltech / "101_ObjectCategories").photos) == 20


def test_as_a_folder_of_images_it_keeps_them_all(caltech: Path):
    catalogue = read_catalogue(caltech / "101_ObjectCategories", "folder")

    assert len(catalogue.photos) == 23
    assert "BACKGROUND_Google" in catalogue.categories


def test_nothing_but_an_empty_folder_is_refused(tmp_path: Path):
    (tmp_path / "101_ObjectCategories").mkdir()

    with pytest.raises(
        CatalogueError, match=r"expected JPEG, PNG or WebP files below .*Categories"
    ):
        read_catalogue(tmp_path)
