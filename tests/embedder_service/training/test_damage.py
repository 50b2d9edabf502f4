"""Every photo is looked at once: damage and copies are told, nothing is dropped in silence."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from embedder_service.training.damage import without_damaged
from embedder_service.training.data import Box, Catalogue, CatalogueError, Photo
from embedder_service.training.read import read_catalogue


def test_damaged_photos_are_named_with_the_reason_and_set_apart(tmp_path: Path):
    for name in ("good.jpg", "cut.jpg"):
        Image.effect_noise((60, 48), 40).save(tmp_path / name)
    whole = (tmp_path / "cut.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "fake.jpg").write_text("not an image")
    catalogue = read_catalogue(tmp_path)

    assert [photo.photo_id for photo in catalogue.photos] == ["good.jpg"]
    assert [each.path.name for each in catalogue.damaged] == ["cut.jpg", "empty.jpg", "fake.jpg"]
    assert all(damaged.reason.startswith("content: expected") for damaged in catalogue.damaged)


def test_a_box_with_nothing_in_it_is_damage(tmp_path: Path):
    outside = _catalogue(tmp_path, (40, 0, 60, 30), (20, 5, 10, 9), (-9, -9, 50, 50))
    found = without_damaged(outside)

    assert [photo.photo_id for photo in found.photos] == ["2.png"]
    assert [each.reason for each in found.damaged] == [
        "box: expected left < right and top < bottom, some of it in the picture of 40 x 30, "
        f"got {box}"
        for box in ("40, 0, 60, 30", "20, 5, 10, 9")
    ]


def test_a_file_that_went_away_is_damage(tmp_path: Path):
    catalogue = _catalogue(tmp_path, None)
    catalogue.photos[0].path.unlink()

    [damaged] = without_damaged(catalogue).damaged
    assert "No such file" in damaged.reason


def test_files_of_the_same_bytes_are_told_unless_other_parts_are_read(tmp_path: Path):
    catalogue = _catalogue(tmp_path, None, None, (0, 0, 9, 9))
    content = catalogue.photos[0].path.read_bytes()
    for photo in catalogue.photos:
        photo.path.write_bytes(content)

    assert without_damaged(catalogue).copies == (("0.png", "1.png"),)


def test_progress_ends_with_the_whole(tmp_path: Path):
    told: list[tuple[int, int]] = []
    without_damaged(_catalogue(tmp_path, None, None), lambda *step: told.append(step))

    assert told[-1] == (2, 2)


def test_a_folder_of_nothing_but_damage_is_refused(tmp_path: Path):
    (tmp_path / "fake.jpg").write_text("not an image")

    with pytest.raises(CatalogueError, match="expected one that decodes"):
        read_catalogue(tmp_path)


def _catalogue(folder: Path, *boxes: Box | None) -> Catalogue:
    """A photo of 40 x 30 a box, in colours of their own."""
    photos = []
    for number, box in enumerate(boxes):
        name = f"{number}.png"
        Image.new("RGB", (40, 30), (90 * number, 0, 0)).save(folder / name)
        photos.append(Photo(photo_id=name, path=folder / name, item_id=name, box=box))
    return Catalogue(folder, tuple(photos))
