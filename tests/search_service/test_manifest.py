"""The format: what may be said, and that it is always said in the same bytes."""

import json

import pytest

from search_service.build import publish
from search_service.manifest import (
    Current,
    Draft,
    Entry,
    FormatError,
    Manifest,
    blob_key,
    check_name,
    current_key,
    decode,
    digest,
    encode,
    manifest_key,
)
from search_service.store import Store


@pytest.fixture(scope="module")
def manifest(forest_build, tmp_path_factory):
    return publish(Store(tmp_path_factory.mktemp("store")), "dresses", forest_build).manifest


def changed(manifest, **changes):
    """The manifest's JSON with changes by dotted path."""
    data = json.loads(encode(manifest))
    for path, value in changes.items():
        *way, last = path.split("__")
        at = data
        for step in way:
            at = at[int(step)] if step.isdecimal() else at[step]
        at[last] = value
    return json.dumps(data).encode()


def test_a_manifest_comes_back_as_it_was_and_always_in_the_same_bytes(manifest):
    data = encode(manifest)

    assert decode(data, Manifest, "manifest") == manifest
    assert encode(decode(data, Manifest, "manifest")) == data


def test_the_order_in_which_fields_were_read_does_not_change_the_bytes(manifest):
    shuffled = dict(reversed(json.loads(encode(manifest)).items()))

    again = decode(json.dumps(shuffled).encode(), Manifest, "manifest")
    assert digest(encode(again)) == digest(encode(manifest))


def test_fields_of_a_later_version_are_passed_over(manifest):
    assert decode(changed(manifest, later={"x": 1}), Manifest, "manifest") == manifest


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("schema", 3, "schema"),
        ("index", "../etc", "index"),
        ("space_id", "A" * 64, "space_id"),
        ("created", "yesterday", "created"),
        ("created", "2026-01-01T00:00:00", "zone"),
        ("created", "0001-01-01T00:00:00+23:59", "created"),
        ("segments", [], "1 or 2 segments"),
        ("dimension", 0, "dimension"),
        ("segments__0__photos", 0, "photos"),
        ("segments__0__photos", 2**40, "photos"),
        ("segments__0__items", 100_000, "one item a photo"),
        ("segments__0__engine", "quantum", "engine"),
        ("segments__0__engine", "exact", "blobs"),
        ("segments__0__trees", 0, "trees"),
        ("segments__0__trees", -1, "trees"),
        ("segments__0__width", 0, "blobs"),
        ("segments__0__efforts", [], "efforts"),
        ("segments__0__efforts__0__effort", 2**31, "effort"),
        ("segments__0__efforts__0__depth", 0, "depth"),
        ("segments__0__efforts__0__recall", -0.5, "recall"),
        ("segments__0__efforts__0__standard_error", 7, "standard_error"),
        ("segments__0__blobs__forest", None, "blobs"),
        ("segments__0__blobs__forest__sha256", "../../etc/passwd", "blob"),
        ("segments__0__blobs__forest__bytes", -1, "bytes"),
        ("segments__0__blobs__golden__sha256", "x", "blob"),
        ("segments__0__golden__queries", 0, "queries"),
        ("segments__0__golden__neighbours", 0, "neighbours"),
        ("attributes", [{"name": "b", "kind": "bool"}, {"name": "a", "kind": "bool"}], "in order"),
        ("attributes", [{"name": "a", "kind": "bool"}, {"name": "a", "kind": "bool"}], "once"),
        ("attributes", [{"name": "", "kind": "bool"}], "attributes"),
        ("attributes", [{"name": "a", "kind": "blob"}], "kind"),
    ],
)
def test_a_manifest_that_cannot_be_served_is_refused_by_name(manifest, path, value, named):
    with pytest.raises(FormatError, match=named):
        decode(changed(manifest, **{path: value}), Manifest, "manifest")


def test_a_draft_is_held_to_the_same(forest_build):
    draft = decode((forest_build / "draft.json").read_bytes(), Draft, "draft")

    with pytest.raises(FormatError, match="efforts"):
        decode(changed(draft, segments__0__efforts=[]), Draft, "draft")


@pytest.mark.parametrize(
    "data", [b"", b"{", b"null", b"[]", b"\xff", b'{"\xff": 1}', b"{}", b"[" * 100_000]
)
def test_what_is_no_json_of_its_kind_is_refused(data):
    for kind in (Manifest, Draft, Current):
        with pytest.raises(FormatError, match=kind.__name__):
            decode(data, kind, "file")


def test_current_names_at_least_one_generation_and_each_space_once():
    entry = Entry(space_id="a" * 64, generation=1, manifest_sha256="b" * 64)
    for serving in ((), (entry, entry)):
        with pytest.raises(FormatError, match="expected"):
            decode(encode(Current(schema=1, serving=serving)), Current, "CURRENT")


@pytest.mark.parametrize("field", ["space_id", "manifest_sha256"])
def test_a_hash_in_current_cannot_lead_out_of_the_store(field):
    entry = {"space_id": "a" * 64, "generation": 1, "manifest_sha256": "b" * 64}
    data = json.dumps({"schema": 1, "serving": [{**entry, field: "../../etc/passwd"}]})

    with pytest.raises(FormatError, match=field):
        decode(data.encode(), Current, "CURRENT")


@pytest.mark.parametrize("name", ["dresses", "a", "0", "a-b-9", "x" * 63])
def test_good_names(name):
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "-a", "A", "a_b", "a/b", "..", ".", "a.b", "a\n", "a\0", "ä", "x" * 64, " a"]
)
def test_hostile_names_are_refused(name):
    with pytest.raises(FormatError, match="expected a name"):
        check_name(name)


def test_keys_are_where_the_format_says():
    assert current_key("a") == "indexes/a/CURRENT"
    assert manifest_key("a", 12, "f" * 64) == f"indexes/a/generations/00000012-{'f' * 64}.json"
    assert blob_key("f" * 64) == f"blobs/{'f' * 64}"


def test_the_schema_before_is_read_as_this_one(manifest):
    """One segment, whose golden queries stood beside it."""
    raw = json.loads(encode(manifest))
    (segment,) = raw["segments"]
    blob = segment["blobs"].pop("golden")
    raw |= {"schema": 1, "golden": {**segment.pop("golden"), "blob": blob}}
    del raw["dead"]

    assert decode(json.dumps(raw).encode(), Manifest, "manifest") == manifest


@pytest.mark.parametrize("schema", [0, 3, None, "2"])
def test_no_other_schema_is_read(manifest, schema):
    with pytest.raises(FormatError, match="of schema 1 or 2"):
        decode(changed(manifest, schema=schema), Manifest, "manifest")
