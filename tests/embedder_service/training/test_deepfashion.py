"""DeepFashion's lists, quirks included; a damaged list names file, line and expectation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from embedder_service.training.data import Catalogue, CatalogueError
from embedder_service.training.deepfashion import read_deepfashion
from embedder_service.training.read import format_at, read_catalogue


def test_labels_are_one_based_and_the_image_folder_is_the_item(tiny: Catalogue):
    names = {photo.item_id: photo.category for photo in tiny.photos}

    assert len(names) == 12
    assert all(item.rsplit("_", 2)[1] == category for item, category in names.items())
    assert tiny.categories == ("Shirt", "T-Shirt", "Tank-Top")


def test_the_lists_have_counts_column_names_and_padding(tiny_folder: Path):
    lines = (tiny_folder / "Anno" / "list_category_img.txt").read_text().splitlines()

    assert lines[0] == "48"
    assert lines[1].split() == ["image_name", "category_label"]
    assert len({len(line) for line in lines[2:]}) == 1
    assert len(lines) == 50


def test_lists_written_by_hand_in_deepfashions_own_way_are_read(tmp_path: Path):
    _write_tree(tmp_path)
    catalogue = read_deepfashion(tmp_path)

    photo = catalogue.photos[0]
    assert (photo.photo_id, photo.item_id) == ("img/Sheer_Blouse/img_00000001.jpg", "Sheer_Blouse")
    assert (photo.category, photo.split, photo.box) == ("Blouse", "train", (72, 79, 232, 273))
    assert photo.attributes == {"category": "Blouse"}
    assert [p.split for p in catalogue.photos] == ["train", "test"]


def test_anno_coarse_is_found_too(tmp_path: Path):
    _write_tree(tmp_path)
    (tmp_path / "Anno").rename(tmp_path / "Anno_coarse")

    assert len(read_deepfashion(tmp_path).photos) == 2


@pytest.mark.parametrize(
    ("place", "old", "new", "message"),
    [
        (
            "Anno/list_category_img.txt",
            "2\nimage",
            "3\nimage",
            r"list_category_img.txt, line 1: expected 2, the number of rows below, got '3'",
        ),
        (
            "Anno/list_category_img.txt",
            "2\nimage",
            "two\nimage",
            r"list_category_img.txt, line 1: expected the number of rows, got 'two'",
        ),
        (
            "Anno/list_category_img.txt",
            "     3",
            "     4",
            (
                r"list_category_img.txt, line 3: expected a label from 1 to 3, the rows of "
                r"list_category_cloth.txt, got '4'"
            ),
        ),
        (
            "Anno/list_category_img.txt",
            "     3",
            "     x",
            r"list_category_img.txt, line 3: expected a whole number, got 'x'",
        ),
        (
            "Anno/list_category_img.txt",
            "img_00000002.jpg     1",
            "img_00000009.jpg     1",
            r"list_category_img.txt, line 4: expected an image of list_eval_partition.txt, got",
        ),
        (
            "Eval/list_eval_partition.txt",
            "   test",
            "   tests",
            r"list_eval_partition.txt, line 4: expected train or val or test, got 'tests'",
        ),
        (
            "Anno/list_bbox.txt",
            " 273",
            "",
            r"list_bbox.txt, line 3: expected 5 columns, got",
        ),
    ],
)
def test_a_malformed_list_names_file_line_and_expectation(
    tmp_path: Path, place: str, old: str, new: str, message: str
):
    _write_tree(tmp_path)
    path = tmp_path / place
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))

    with pytest.raises(CatalogueError, match=message):
        read_deepfashion(tmp_path)


def test_a_missing_list_says_where_it_was_looked_for(tmp_path: Path):
    _write_tree(tmp_path)
    (tmp_path / "Eval" / "list_eval_partition.txt").unlink()

    expected = f"expected it in {tmp_path}, or there in Anno, Anno_coarse, Eval, found none"
    with pytest.raises(CatalogueError, match=re.escape(expected)):
        read_deepfashion(tmp_path)


def test_lists_without_labels_are_not_taken_for_a_folder_of_images(tmp_path: Path):
    _write_tree(tmp_path)
    (tmp_path / "Anno").rename(tmp_path / "elsewhere")

    assert format_at(tmp_path) == "deepfashion-category"
    with pytest.raises(CatalogueError, match=r"list_category_cloth.txt: expected it in"):
        read_catalogue(tmp_path)


def test_a_missing_image_is_named(tmp_path: Path):
    _write_tree(tmp_path)
    (tmp_path / "img" / "Sheer_Blouse" / "img_00000001.jpg").unlink()

    with pytest.raises(CatalogueError, match="line 3: expected an image below"):
        read_deepfashion(tmp_path)


def test_a_path_that_leaves_the_folder_is_refused(tmp_path: Path):
    _write_tree(tmp_path)
    for name in ("Anno/list_category_img.txt", "Eval/list_eval_partition.txt"):
        path = tmp_path / name
        path.write_text(path.read_text().replace("img/Sheer_Blouse", "img/../Sheer_Blouse"))

    with pytest.raises(CatalogueError, match="expected a path that begins with img/"):
        read_deepfashion(tmp_path)


def _write_tree(folder: Path) -> None:
    for place in ("Anno", "Eval", "img/Sheer_Blouse"):
        (folder / place).mkdir(parents=True)
    for number in (1, 2):
        (folder / "img" / "Sheer_Blouse" / f"img_0000000{number}.jpg").write_bytes(b"")
    one, two = (f"img/Sheer_Blouse/img_0000000{number}.jpg" for number in (1, 2))
    (folder / "Anno" / "list_category_cloth.txt").write_text(
        "3\ncategory_name  category_type\nAnorak         1\nBlazer         1\nBlouse         1\n"
    )
    (folder / "Anno" / "list_category_img.txt").write_text(
        f"2\nimage_name  category_label\n{one}     3\n{two}     1\n"
    )
    (folder / "Anno" / "list_bbox.txt").write_text(
        f"2\nimage_name  x_1  y_1  x_2  y_2\n{one}   072 079 232 273\n{two}   067 059 155 161\n"
    )
    (folder / "Eval" / "list_eval_partition.txt").write_text(
        f"2\nimage_name  evaluation_status\n{one}   train\n{two}   test\n\n"
    )
