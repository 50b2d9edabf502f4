"""What a build is given: every mistake is named, and what is good comes out in order."""

import json
from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from search_service.build.source import Source, SourceError, read_source, sort_rows

SPACE = "a" * 64


def source(vectors=None, space_id=SPACE, types=None, **columns):
    columns = columns or {"photo_id": ["p1", "p2", "p3"]}
    count = len(next(iter(columns.values())))
    if vectors is None:
        vectors = np.random.default_rng(0).normal(size=(count, 4)).astype(np.float32)
    return Source(vectors, pa.table(columns), space_id, types or {})


def refusal(given):
    with pytest.raises(SourceError) as error:
        sort_rows(given)
    return str(error.value)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_row_with_a_number_that_is_none_is_named_with_its_photo(value):
    vectors = np.ones((3, 4), np.float32)
    vectors[1, 2] = value

    message = refusal(source(vectors))

    assert "vectors row 2 (photo 'p2')" in message
    assert "NaN, infinity or zeros" in message


def test_a_row_of_zeros_is_named_with_its_photo():
    vectors = np.ones((3, 4), np.float32)
    vectors[2] = 0

    assert "vectors row 3 (photo 'p3')" in refusal(source(vectors))


def test_very_long_and_very_short_vectors_are_normalised_all_the_same():
    vectors = np.array([[3e38, 3e38], [1e-45, 0], [0.6, 0.8]], np.float32)

    rows = sort_rows(source(vectors))

    np.testing.assert_allclose(np.linalg.norm(rows.vectors, axis=1), 1.0, atol=1e-6)


@pytest.mark.parametrize(
    "vectors",
    [
        np.ones((3, 4)),
        np.ones((3, 4), np.float16),
        np.ones((3, 4), ">f4"),
        np.ones(12, np.float32),
        np.ones((3, 2, 2), np.float32),
        np.ones((0, 4), np.float32),
        np.ones((3, 0), np.float32),
    ],
)
def test_vectors_of_another_kind_or_shape_are_refused(vectors):
    assert refusal(source(vectors)).startswith("vectors: expected float32 [n, d], got")


def test_vectors_and_photos_have_to_be_as_many():
    message = refusal(source(np.ones((2, 4), np.float32)))

    assert message == "photos: expected 2 rows, one a vector, got 3"


@pytest.mark.parametrize("space_id", ["", "a" * 63, "A" * 64, "../" + "a" * 61])
def test_a_space_id_is_64_digits(space_id):
    assert refusal(source(space_id=space_id)).startswith("space_id: expected 64 hexadecimal")


def test_a_photo_id_that_comes_twice_is_named():
    assert refusal(source(photo_id=["a", "b", "a"])) == (
        "photo_id: expected each id once, got 'a' twice"
    )


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"item_id": ["a"]}, "photos: expected a column photo_id, got ['item_id']"),
        ({"photo_id": ["a", ""]}, "photos row 2: expected photo_id of 1 to 128 bytes, got ''"),
        ({"photo_id": ["a", None]}, "photos row 2: expected photo_id of 1 to 128 bytes, got None"),
        ({"photo_id": ["é" * 65]}, "expected photo_id of 1 to 128 bytes"),
        ({"photo_id": ["é" * 97], "item_id": ["a"]}, "expected photo_id of 1 to 192 bytes"),
        ({"photo_id": ["a"], "item_id": ["x" * 129]}, "expected item_id of 1 to 128 bytes"),
        ({"photo_id": ["a"], "item_id": [None]}, "expected item_id of 1 to 128 bytes"),
    ],
)
def test_an_id_that_is_missing_empty_or_too_long_is_refused_by_its_row(columns, message):
    assert message in refusal(source(**columns))


def test_the_longest_ids_pass():
    rows = sort_rows(source(photo_id=["p" * 192], item_id=["i" * 128]))

    assert rows.photo_ids.to_pylist() == ["p" * 192]


def test_two_columns_of_one_name_or_none_are_refused():
    for names in (["photo_id", "x", "x"], ["photo_id", "", "x"]):
        table = pa.table([["a"], ["b"], ["c"]], names=names)
        given = Source(np.ones((1, 4), np.float32), table, SPACE)
        assert "expected columns with names of their own" in refusal(given)


def test_photos_of_an_item_have_to_agree_on_its_attributes():
    message = refusal(
        source(photo_id=["3", "1", "2"], item_id=["b", "a", "b"], colour=["red", "red", "blue"])
    )

    assert message == "colour: expected one value an item, got photos of 'b' that differ"


def test_a_missing_attribute_differs_from_one_that_is_there():
    message = refusal(source(photo_id=["1", "2"], item_id=["a", "a"], colour=["red", None]))

    assert message.startswith("colour: expected one value an item")


def test_attributes_of_more_than_a_kilobyte_are_refused():
    message = refusal(source(photo_id=["1", "2"], note=["", "x" * 1001]))
    assert message == "attributes: expected at most 1024 bytes an item, got 1029"

    lists = [["x" * 100] * 10, ["y"]]
    assert "attributes: expected at most 1024" in refusal(source(photo_id=["1", "2"], tags=lists))


@pytest.mark.parametrize(
    ("values", "kind", "first"),
    [
        (["a", None], "string", "a"),
        (pa.array(["a", "b"], pa.large_string()), "string", "a"),
        (pa.array(["a", "b"]).dictionary_encode(), "string", "a"),
        (pa.array([None, None]), "string", None),
        ([1, None], "int64", 1),
        (pa.array([1, 2], pa.uint8()), "int64", 1),
        ([0.5, None], "double", 0.5),
        (pa.array([0.5, 1], pa.float32()), "double", 0.5),
        ([float("nan"), 1.0], "double", None),
        ([True, None], "bool", True),
        ([date(2026, 1, 2), None], "timestamp", datetime(2026, 1, 2, tzinfo=UTC)),
        ([datetime(2026, 1, 2, 3), None], "timestamp", datetime(2026, 1, 2, 3, tzinfo=UTC)),
        (
            pa.array([1], pa.timestamp("ms", tz="Europe/Zurich")).take(pa.array([0, 0])),
            "timestamp",
            datetime(1970, 1, 1, 0, 0, 0, 1000, tzinfo=UTC),
        ),
        ([["x", "y"], None], "strings", ["x", "y"]),
        (pa.array([["x"], []], pa.large_list(pa.large_string())), "strings", ["x"]),
    ],
)
def test_attributes_get_their_type_from_the_column(values, kind, first):
    rows = sort_rows(source(photo_id=["1", "2"], it=values))

    found, column = rows.attributes["it"]
    assert (found, column[0].as_py()) == (kind, first)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([b"x", b"y"], "it: expected texts, whole or real numbers"),
        ([[1], [2]], "it: expected texts, whole or real numbers"),
        (pa.array([1, 2**64 - 1], pa.uint64()), "it: expected int64"),
        ([["x", None], []], "it: expected texts in the lists, got a missing one"),
        (pa.array([0, 2**60], pa.timestamp("us")), "it: expected moments from year 1 to 9999"),
    ],
)
def test_an_attribute_that_could_not_be_answered_is_refused(values, message):
    assert refusal(source(photo_id=["1", "2"], it=values)).startswith(message)


def test_a_type_that_is_asked_for_is_kept_or_refused():
    wanted = source(photo_id=["1"], zip=[12], types={"zip": "string"})
    assert sort_rows(wanted).attributes["zip"][1].to_pylist() == ["12"]

    message = refusal(source(photo_id=["1"], zip=["twelve"], types={"zip": "int64"}))
    assert message.startswith("zip: expected int64, got")


def test_rows_stand_in_the_order_of_their_bytes():
    ids = ["b", "a", "ä", "z", "Z", "€", "𝄞", "\uffff", "a\x00", "aa"]
    vectors = np.eye(10, dtype=np.float32)

    rows = sort_rows(source(vectors, photo_id=[f"p{i}" for i in range(10)], item_id=ids))

    in_order = sorted(ids, key=str.encode)
    assert rows.item_ids.to_pylist() == in_order
    assert [ids[int(row.argmax())] for row in rows.vectors] == in_order


def test_photos_of_an_item_stand_together_in_order():
    rows = sort_rows(
        source(photo_id=["3", "1", "2", "0"], item_id=["b", "a", "b", "a"], n=[2, 1, 2, 1])
    )

    assert rows.photo_ids.to_pylist() == ["0", "1", "2", "3"]
    assert rows.item_ids.to_pylist() == ["a", "b"]
    assert rows.first_rows.tolist() == [0, 2]
    assert rows.attributes["n"][1].to_pylist() == [1, 2]


def test_without_item_ids_each_photo_is_its_own_item():
    rows = sort_rows(source(photo_id=["b", "a"]))

    assert rows.item_ids.to_pylist() == rows.photo_ids.to_pylist() == ["a", "b"]


@pytest.fixture
def folder(tmp_path):
    """As `lookalike embed` leaves it, with a CSV."""
    np.save(tmp_path / "vectors.npy", np.eye(2, 4, dtype=np.float32))
    (tmp_path / "space.json").write_text(json.dumps({"space_id": SPACE}))
    (tmp_path / "photos.csv").write_text(
        "photo_id,item_id,zip,price,weight,sale,added,note\n"
        "001,007,00123,5,0.5,true,2026-01-02,\n"
        "002,008,00124,6,1,false,2026-01-03 04:05:06,x\n"
    )
    return tmp_path


def test_a_csv_has_its_types_read_from_the_values_and_its_ids_left_alone(folder):
    rows = sort_rows(read_source(folder, {"zip": "string"}))

    assert rows.photo_ids.to_pylist() == ["001", "002"]
    assert rows.item_ids.to_pylist() == ["007", "008"]
    assert {name: kind for name, (kind, _) in rows.attributes.items()} == {
        "added": "timestamp",
        "note": "string",
        "price": "int64",
        "sale": "bool",
        "weight": "double",
        "zip": "string",
    }
    assert rows.attributes["zip"][1].to_pylist() == ["00123", "00124"]
    assert rows.attributes["note"][1].to_pylist() == [None, "x"]


def test_a_parquet_file_goes_before_a_csv(folder):
    table = pa.table({"photo_id": ["a", "b"], "tags": [["x"], None]})
    pyarrow.parquet.write_table(table, folder / "photos.parquet")

    rows = sort_rows(read_source(folder))

    assert rows.photo_ids.to_pylist() == ["a", "b"]
    assert rows.attributes["tags"][0] == "strings"


@pytest.mark.parametrize("name", ["vectors.npy", "photos.csv", "space.json"])
@pytest.mark.parametrize("content", [None, b"", b"{", b"\xff\xfe", b"PK\x03\x04"])
def test_a_file_that_is_missing_or_something_else_is_refused(folder, name, content):
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)

    with pytest.raises(SourceError):
        sort_rows(read_source(folder))


@pytest.mark.parametrize("space", [[], {}, {"space_id": 5}, {"space_id": None}, "x"])
def test_a_space_that_is_none_is_refused(folder, space):
    (folder / "space.json").write_text(json.dumps(space))

    with pytest.raises(SourceError, match="space_id"):
        sort_rows(read_source(folder))


def test_pickled_objects_are_never_read(folder):
    np.save(folder / "vectors.npy", np.array([{}, {}], dtype=object), allow_pickle=True)

    with pytest.raises(SourceError, match="Python objects in dtype"):
        read_source(folder)


def test_a_csv_parts_the_texts_of_a_list_by_a_bar(tmp_path):
    np.save(tmp_path / "vectors.npy", np.eye(3, dtype=np.float32))
    (tmp_path / "photos.csv").write_text("photo_id,tags\na,silk|midi\nb,wool\nc,\n")
    (tmp_path / "space.json").write_text('{"space_id": "' + "a" * 64 + '"}')

    rows = sort_rows(read_source(tmp_path, {"tags": "strings"}))

    kind, tags = rows.attributes["tags"]
    assert kind == "strings"
    assert tags.to_pylist() == [["silk", "midi"], ["wool"], None]
