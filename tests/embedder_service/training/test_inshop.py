"""DeepFashion's in-shop benchmark, as its files are: counts, names, padding, Img for img."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from embedder_service.training.data import CatalogueError
from embedder_service.training.inshop import read_inshop
from embedder_service.training.read import format_at, read_catalogue

_PARTITION = """\
6
image_name                                             item_id evaluation_status
img/WOMEN/Dresses/id_00000002/02_1_front.jpg           id_00000002 train
img/WOMEN/Dresses/id_00000002/02_3_back.jpg            id_00000002 train
img/WOMEN/Blouses_Shirts/id_00000001/02_1_front.jpg    id_00000001 query
img/WOMEN/Blouses_Shirts/id_00000001/02_2_side.jpg     id_00000001 gallery
img/WOMEN/Tees_Tanks/id_00000001/04_1_front.jpg        id_00000001 gallery
img/MEN/Denim/id_00000080/01_1_front.jpg               id_00000080 query
"""
_BOXES = """\
2
image_name                                             clothes_type  pose_type x_1 y_1 x_2 y_2
img/WOMEN/Dresses/id_00000002/02_1_front.jpg           3 1 050 006 198 244
img/MEN/Denim/id_00000080/01_1_front.jpg               2 6 000 000 256 256
"""


@pytest.fixture
def inshop(tmp_path: Path) -> Path:
    """As it is unpacked: Anno, Eval, and img below Img."""
    for number, line in enumerate(_PARTITION.splitlines()[2:]):
        path = tmp_path / "Img" / line.split()[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (256, 256), (40 * number, 90, 30)).save(path)
    for place, text in (
        ("Eval/list_eval_partition.txt", _PARTITION),
        ("Anno/list_bbox_inshop.txt", _BOXES),
    ):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_text(text)
    return tmp_path


def test_its_own_queries_and_gallery_are_those_that_are_searched(inshop: Path):
    catalogue = read_catalogue(inshop)

    assert catalogue.format_name == "deepfashion-inshop"
    assert [len(catalogue.of(split)) for split in ("train", "val", "test")] == [2, 0, 0]
    assert [photo.item_id for photo in catalogue.queries] == ["id_00000080", "id_00000001"]
    assert [photo.item_id for photo in catalogue.gallery] == ["id_00000001"] * 2
    assert catalogue.new_items == {"id_00000001", "id_00000080"}


def test_an_items_photos_may_lie_in_several_folders(inshop: Path):
    photos = [p for p in read_inshop(inshop).photos if p.item_id == "id_00000001"]

    assert [photo.category for photo in photos] == ["Blouses_Shirts"] * 2 + ["Tees_Tanks"]
    assert {tuple(photo.attributes.values()) for photo in photos} == {("Blouses_Shirts", "WOMEN")}


def test_boxes_are_the_last_four_of_seven_columns(inshop: Path):
    boxes = {photo.photo_id: photo.box for photo in read_inshop(inshop).photos}

    assert boxes["img/WOMEN/Dresses/id_00000002/02_1_front.jpg"] == (50, 6, 198, 244)
    assert boxes["img/WOMEN/Dresses/id_00000002/02_3_back.jpg"] is None


def test_without_its_list_of_boxes_photos_are_read_whole_and_that_is_said(inshop: Path):
    (inshop / "Anno" / "list_bbox_inshop.txt").unlink()
    catalogue = read_inshop(inshop)
    [note] = catalogue.notes

    assert {photo.box for photo in catalogue.photos} == {None}
    assert note.startswith(f"list_bbox_inshop.txt: expected it in {inshop}, or there in Anno, ")
    assert note.endswith("found none: photos are read whole")


@pytest.mark.parametrize("place", ["img", "Img"])
def test_images_may_be_unpacked_elsewhere(inshop: Path, place: str):
    (inshop / "Img").rename(inshop / "unpacked")
    (inshop / "unpacked" / "img").rename(inshop / place)

    assert len(read_inshop(inshop).photos) == 6


def test_a_benchmark_without_its_images_says_where_they_were_looked_for(inshop: Path):
    (inshop / "Img").rename(inshop / "pictures")

    with pytest.raises(CatalogueError, match=r"img: expected it in .* as img, Img/img, Img, found"):
        read_inshop(inshop)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (" train", " val", r"line 3: expected train or query or gallery, got 'val'"),
        (" id_00000002 train", " train", r"line 3: expected 3 columns, got 'img/WOMEN.* train'"),
        ("02_3_back", "02_1_front", r"line 4: expected another image than line 3, got 'img/"),
        ("6\n", "52712\n", r"line 1: expected 6, the number of rows below, got '52712'"),
        (" item_id", "", r"line 2: expected the names of 3 columns, got 'image_name  *eval"),
        ("01_1_front", "01_9_front", r"line 8: expected an image below .*/Img/img, got 'img/MEN"),
    ],
)
def test_a_malformed_list_names_file_line_and_expectation(
    inshop: Path, old: str, new: str, message: str
):
    path = inshop / "Eval" / "list_eval_partition.txt"
    path.write_text(_PARTITION.replace(old, new, 1))

    with pytest.raises(CatalogueError, match=f"list_eval_partition.txt, {message}"):
        read_inshop(inshop)


def test_the_category_benchmarks_list_of_splits_is_not_taken_for_it(tiny_folder: Path):
    assert format_at(tiny_folder) == "sample"
