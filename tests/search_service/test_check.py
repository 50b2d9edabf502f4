"""What the child process looks at: nothing that it lets through may crash or lie afterwards."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from msgspec.structs import replace

from search_service import check as checking
from search_service.build import build, publish
from search_service.manifest import AttributeSpec, FormatError, encode
from search_service.segment import read_table


@pytest.fixture(scope="module")
def built(drawn, quick, tmp_path_factory):
    out = tmp_path_factory.mktemp("builds") / "built"
    build(drawn(60, 2, 16), out, quick(widths=(8,), trees=4, golden_queries=20))
    return out


@pytest.fixture
def published(store, built):
    return publish(store, "dresses", built)


@pytest.fixture
def blobs(store, published):
    """Path of each role's blob."""
    manifest = published.manifest
    named = manifest.base.blobs
    return {role: store.root / "blobs" / blob.sha256 for role, blob in named.items()}


@pytest.fixture
def refused(published, blobs):
    """refused(match): the generation as it lies there now is refused so."""

    def refused(match, manifest=published.manifest):
        with pytest.raises(FormatError, match=match):
            checking.check(manifest, blobs["vectors"].parent)

    return refused


def write_table(path, columns, schema=None):
    table = pa.table(columns, schema=schema)
    path.unlink()
    with pa.ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table)


def save(path, array):
    path.unlink()
    with path.open("wb") as file:
        np.save(file, array)


def test_what_was_built_passes(published, blobs):
    checking.check(published.manifest, blobs["vectors"].parent)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda v: v * np.float32(1.01), "length 1 each"),
        (lambda v: np.where(np.eye(120, 16, dtype=bool), np.float32(np.nan), v), "length 1 each"),
        (lambda v: v[:-1], "expected float32"),
        (lambda v: v[:, :8], "expected float32"),
        (lambda v: v.astype(np.float64), "expected float32"),
        (lambda v: np.asfortranarray(v), "row by row"),
        (lambda v: v.astype(object), "npy file"),
    ],
)
def test_vectors_of_another_kind_are_refused(refused, blobs, change, match):
    save(blobs["vectors"], change(np.load(blobs["vectors"])))

    refused(match)


@pytest.mark.parametrize("role", ["photos", "items", "golden"])
def test_a_table_in_several_pieces_is_refused(refused, blobs, role):
    """Readers take the first one for all of it."""
    table = read_table(blobs[role])
    blobs[role].unlink()
    with pa.ipc.new_file(str(blobs[role]), table.schema) as writer:
        writer.write_table(table, max_chunksize=7)

    refused("expected one record batch, got several")


def test_a_projection_with_a_number_that_is_none_is_refused(refused, blobs):
    projection = np.load(blobs["projection"])
    projection[3, 3] = np.inf
    save(blobs["projection"], projection)

    refused("projection: expected finite numbers")


def test_a_projection_of_another_shape_is_refused(refused, blobs):
    save(blobs["projection"], np.load(blobs["projection"]).T.copy())

    refused("projection: expected float32")


def items_changed(blobs, **changes):
    table = read_table(blobs["items"])
    columns = {name: table.column(name).combine_chunks() for name in table.column_names}
    write_table(blobs["items"], {**columns, **changes})


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"first_row": pa.array(range(1, 61), pa.int64())}, "ascending first rows"),
        ({"first_row": pa.array([0] * 60, pa.int64())}, "ascending first rows"),
        ({"first_row": pa.array([0, *range(62, 121)], pa.int64())}, "ascending first rows"),
        ({"first_row": pa.array([0, -(2**63) + 1, *range(2, 60)], pa.int64())}, "ascending"),
        ({"first_row": pa.array([None, *range(1, 60)], pa.int64())}, "missing values"),
        ({"first_row": pa.array(range(60), pa.int32())}, "expected columns"),
        ({"item_id": pa.array([f"{59 - i:02}" for i in range(60)])}, "ids in order"),
        ({"item_id": pa.array(["a"] * 60)}, "ids in order, each once"),
        ({"item_id": pa.array([None, *map(str, range(10, 69))])}, "missing values"),
        ({"attribute.more": pa.array([1] * 60)}, "expected columns"),
        ({"attribute.price": pa.array(["1"] * 60)}, "expected columns"),
        (
            {"attribute.added": pa.array([2**60] * 60, pa.timestamp("us", tz="UTC"))},
            "added from year 1 to 9999",
        ),
        ({"attribute.tags": pa.array([["a", None]] * 60)}, "expected texts in tags"),
    ],
)
def test_items_that_could_not_be_answered_are_refused(refused, blobs, change, match):
    items_changed(blobs, **change)

    refused(match)


def test_attributes_that_the_manifest_does_not_name_are_refused(refused, published):
    more = (*published.manifest.attributes, AttributeSpec(name="zzz", kind="bool"))

    refused("expected columns", replace(published.manifest, attributes=more))


def test_photos_without_an_id_are_refused(refused, blobs):
    ids = read_table(blobs["photos"]).column("photo_id").to_pylist()
    write_table(blobs["photos"], {"photo_id": [*ids[:-1], None]})
    refused("photos: expected 120 ids")

    write_table(blobs["photos"], {"photo_id": ids[:-1]})
    refused("photos: expected 120 ids, got 119")


def test_golden_queries_of_another_shape_are_refused(refused, published):
    for change in ({"queries": 21}, {"neighbours": 9}):
        base = published.manifest.base
        other = replace(base, golden=replace(base.golden, **change))
        refused("golden queries", replace(published.manifest, segments=(other,)))


@pytest.mark.parametrize("role", ["vectors", "items", "photos", "forest", "projection", "golden"])
@pytest.mark.parametrize("content", [b"", b"ARROW1\0\0", b"\x93NUMPY", b"PK\x03\x04", b"\0" * 999])
def test_the_child_says_in_one_line_what_is_no_file_of_its_role(published, blobs, role, content):
    blobs[role].unlink()
    blobs[role].write_bytes(content)
    manifest = blobs["vectors"].parent.parent / "manifest"
    manifest.write_bytes(encode(published.manifest))

    assert checking.main("1", str(manifest), str(blobs["vectors"].parent)) == 1


def test_a_graph_is_looked_through_and_then_asked(graph_built, store):
    manifest = publish(store, "dresses", graph_built).manifest
    folder = store.root / "blobs"
    checking.check(manifest, folder)

    graph = folder / manifest.base.blobs["graph"].sha256
    data = bytearray(graph.read_bytes())
    data[-4:] = b"\xff\xff\xff\xff"
    data[-142 + 10 : -142 + 14] = (32).to_bytes(4, "little")  # the last node lists all it can
    graph.unlink()
    graph.write_bytes(data)
    with pytest.raises(FormatError, match="graph: expected neighbours on level 0"):
        checking.check(manifest, folder)


def test_the_child_exits_by_what_it_found(published, blobs, tmp_path):
    manifest = tmp_path / "manifest"
    manifest.write_bytes(encode(published.manifest))
    command = [sys.executable, "-m", "search_service.check", "1", manifest, blobs["vectors"].parent]
    assert subprocess.run(command, check=False).returncode == 0

    blobs["forest"].write_bytes(b"")
    child = subprocess.run(command, check=False, capture_output=True)
    assert child.returncode == 1
    assert json.loads(child.stdout)["message"].startswith("forest: expected rows")


@pytest.fixture(scope="module")
def graph_built(drawn, quick, tmp_path_factory):
    out = tmp_path_factory.mktemp("builds") / "graph"
    build(drawn(60, 2, 16), out, quick(engine="graph", graph_widths=(8,), golden_queries=20))
    return out


@pytest.mark.parametrize("engine", ["annoy", "graph"])
def test_no_damage_that_passes_the_check_crashes_or_answers_out_of_range(
    built, graph_built, tmp_path, engine
):
    mutations = Path(__file__).with_name("mutations.py")
    whole = built if engine == "annoy" else graph_built
    command = [sys.executable, mutations, whole, tmp_path / "store", "5", "180"]

    child = subprocess.run(command, check=False, capture_output=True, text=True)

    assert child.returncode == 0, child.stdout[-300:] + child.stderr[-3000:]
    became = ast.literal_eval(child.stdout.splitlines()[-1])
    assert sum(became.values()) == 180
    assert min(became["refused"], became["failed golden queries"], became["served"]) > 0
