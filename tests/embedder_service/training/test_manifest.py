"""Tables of photos, as people and programs write them."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from embedder_service.training.data import Box, CatalogueError
from embedder_service.training.manifest import read_manifest
from embedder_service.training.read import read_catalogue


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four photos beside where the table will lie."""
    for number in range(4):
        path = tmp_path / "table" / "img" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30), (60 * number, 0, 0)).save(path)
    return tmp_path / "table"


def test_a_csv_with_all_columns_is_read(folder: Path):
    table = _csv(
        folder,
        "path,label,item_id,split,box\n"
        "img/0.png,Dress,d-1,train,0 0 20 30\n"
        "img/1.png,Dress,d-1,query,\n"
        "img/2.png,Coat,c-1,gallery,1.5 2 9 9\n",
    )
    catalogue = read_catalogue(table)
    first, second, third = catalogue.photos

    assert (catalogue.format_name, catalogue.folder) == ("manifest", folder)
    assert (first.photo_id, first.item_id, first.category) == ("img/0.png", "d-1", "Dress")
    assert [photo.split for photo in catalogue.photos] == ["train", "query", "gallery"]
    assert [photo.box for photo in catalogue.photos] == [(0, 0, 20, 30), None, (1.5, 2, 9, 9)]
    assert (catalogue.queries, catalogue.gallery) == ((second,), (third,))


def test_the_path_alone_will_do(folder: Path):
    catalogue = read_catalogue(_csv(folder, "path\nimg/0.png\nimg/1.png\n./img/2.png\n"))

    assert catalogue.items == ("img/0.png", "img/1.png", "img/2.png")
    assert catalogue.categories == ()
    assert [photo.split for photo in catalogue.photos] == ["train", "train", "test"]


def test_blank_values_are_unknown(folder: Path):
    table = _csv(folder, "path,label,item_id\nimg/0.png,,\nimg/1.png,Coat,c-1\n")

    assert [(p.category, p.item_id) for p in read_manifest(table).photos] == [
        ("", "img/0.png"),
        ("Coat", "c-1"),
    ]


def test_marks_quotes_and_line_ends_of_spreadsheets_are_read(folder: Path):
    (folder / "table.csv").write_bytes(
        b'\xef\xbb\xbfpath, label\r\n"img/0.png","Coat, long\r\nand ""warm"""\r\n\r\n'
        b"img/1.png,\xc3\xa9\r\n"
    )

    assert [photo.category for photo in read_manifest(folder / "table.csv").photos] == [
        'Coat, long\r\nand "warm"',
        "é",
    ]


def test_other_columns_are_named(folder: Path):
    assert read_manifest(_csv(folder, "path,lable,price\nimg/0.png,Coat,3\n")).notes == (
        "columns that are not used: lable, price",
    )


def test_an_absolute_path_may_lie_outside_and_that_is_said(folder: Path, tmp_path: Path):
    outside = tmp_path / "outside.png"
    (folder / "img" / "0.png").rename(outside)
    table = _csv(folder, f"path\n{outside}\n{folder / 'img' / '1.png'}\n")
    catalogue = read_manifest(table)

    assert [photo.photo_id for photo in catalogue.photos] == [str(outside), "img/1.png"]
    assert catalogue.notes == ("absolute paths: 1 photos lie outside of the table's folder",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: expected a column path, got ''"),
        ("file,label\n", "line 1: expected a column path, got 'file, label'"),
        ("path;label\n", "line 1: expected a column path, got 'path;label'"),
        ("path,path\n", "line 1: expected columns of different names, got 'path, path'"),
        ("path,left,top\n", "line 1: expected all of left, top, right, bottom, got 'left, top'"),
        ("path\n", "expected a row a photo, got none"),
        ("path,label\nimg/0.png\n", "line 2: expected 2 columns, got 'img/0.png'"),
        ("path\nimg/9.png\n", "line 2, path: expected an image below .*, got 'img/9.png'"),
        ("path\n../a.png\n", "line 2, path: expected a path below the table's folder, got '../a"),
        ("path,label\n,Coat\n", "line 2, path: expected a path below the table's folder, got ''"),
        ("path\nimg/0.png\nimg//0.png\n", "line 3, path: expected another path than line 2, got"),
        (
            "path,split\nimg/0.png,valid\n",
            "line 2, split: expected train or val or test or query or gallery, got 'valid'",
        ),
        (
            'path,label,split\nimg/0.png,"a\nb",test\nimg/1.png,c,\n',
            "line 4, split: expected a word, as other rows have, got ''",
        ),
        ("path,split\nimg/0.png,gallery\n", "line 2, split: expected rows of query as well"),
        ("path,box\nimg/0.png,1 2 3\n", "line 2, box: expected left top right bottom in pixels"),
        ("path,box\nimg/0.png,1 2 3 x\n", "line 2, box: expected left .*, got '1 2 3 x'"),
        ("path,box\nimg/0.png,0 0 inf 1\n", "line 2, box: expected left .*, got '0 0 inf"),
        ('path\n"img/0.png\n', "line 2: expected values of a CSV, got 'unexpected end of data'"),
    ],
)
def test_a_malformed_table_names_file_line_column_and_expectation(
    folder: Path, text: str, message: str
):
    with pytest.raises(CatalogueError, match=f"table.csv[,:] {message}"):
        read_manifest(_csv(folder, text))


def test_bytes_that_are_not_utf_8_are_named_by_their_line(folder: Path):
    (folder / "table.csv").write_bytes(b"path,label\nimg/0.png,caf\xe9\n")

    with pytest.raises(CatalogueError, match=r"table.csv, line 2: expected UTF-8, got b'\\xe9'"):
        read_manifest(folder / "table.csv")


@pytest.mark.parametrize("written", ["1 2 30 20", "1,2,30,20", "[1, 2, 30, 20]", "1.0 2.0 30 20"])
def test_a_box_in_a_csv_is_written_in_many_ways(folder: Path, written: str):
    assert _box(_csv(folder, f'path,box\nimg/0.png,"{written}"\n')) == (1, 2, 30, 20)


def test_a_box_may_have_four_columns(folder: Path):
    table = _csv(folder, "path,left,top,right,bottom\nimg/0.png,1,2,30,20\nimg/1.png,,,,\n")

    assert [photo.box for photo in read_manifest(table).photos] == [(1, 2, 30, 20), None]


def test_a_parquet_file_is_read_with_its_own_types(folder: Path):
    table = _parquet(
        folder,
        path=["img/0.png", "img/1.png"],
        label=pa.array(["Coat", None]).dictionary_encode(),
        item_id=[7.0, float("nan")],
        box=[[1, 2, 30, 20], None],
        thumbnail=[b"\xff", b"\xff"],
    )
    catalogue = read_catalogue(table)

    assert [(p.category, p.item_id, p.box) for p in catalogue.photos] == [
        ("Coat", "7", (1, 2, 30, 20)),
        ("", "img/1.png", None),
    ]
    assert catalogue.notes == ("columns that are not used: thumbnail",)


def test_a_box_in_parquet_may_have_four_columns(folder: Path):
    table = _parquet(folder, path=["img/0.png"], left=[1], top=[2], right=[30.0], bottom=[20])

    assert _box(table) == (1, 2, 30, 20)


def test_a_wrong_value_in_parquet_is_named_by_its_row(folder: Path):
    table = _parquet(folder, path=["img/0.png", "img/1.png"], split=["train", "dev"])

    with pytest.raises(CatalogueError, match=r"table.parquet, row 2, split: expected .* got 'dev'"):
        read_manifest(table)


@pytest.mark.parametrize("kept", [0, 3, 200])
def test_a_parquet_file_that_is_none_is_refused(folder: Path, kept: int):
    table = _parquet(folder, path=["img/0.png"])
    table.write_bytes(table.read_bytes()[:kept])

    with pytest.raises(CatalogueError, match=r"table.parquet: expected a Parquet file, got"):
        read_manifest(table)


def test_no_table_at_all_is_refused(tmp_path: Path):
    with pytest.raises(CatalogueError, match=r"images: expected a folder, or a table in CSV or Pa"):
        read_catalogue(tmp_path / "nowhere.csv")
    with pytest.raises(CatalogueError, match=r"nowhere.csv: expected a file that ends in .csv or"):
        read_catalogue(tmp_path / "nowhere.csv", "manifest")


def _csv(folder: Path, text: str) -> Path:
    path = folder / "table.csv"
    path.write_text(text)
    return path


def _parquet(folder: Path, **columns: object) -> Path:
    path = folder / "table.parquet"
    pq.write_table(pa.table(columns), path)
    return path


def _box(table: Path) -> Box | None:
    return read_manifest(table).photos[0].box
