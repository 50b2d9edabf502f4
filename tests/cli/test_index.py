import json
from dataclasses import replace

import numpy as np
import pytest

from search_service.build import BuildOptions, build, read_source

SPACE = "a" * 64


@pytest.fixture
def vectors(tmp_path):
    """A folder as `lookalike embed` leaves it: 60 photos of 20 items."""
    folder = tmp_path / "vectors"
    folder.mkdir()
    drawn = np.random.default_rng(0).standard_normal((60, 16)).astype(np.float32)
    np.save(folder / "vectors.npy", drawn)
    rows = [
        f"p{row},i{row // 3},{('red', 'blue')[row // 3 % 2]},{36 + row // 3}" for row in range(60)
    ]
    (folder / "photos.csv").write_text("\n".join(["photo_id,item_id,colour,size", *rows]) + "\n")
    (folder / "space.json").write_text(json.dumps({"space_id": SPACE}))
    return folder


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store"


@pytest.fixture
def publish(lookalike_command, vectors, store, tmp_path):
    """Builds and publishes once more; the published generation."""

    def publish() -> dict[str, object]:
        built = tmp_path / f"built-{len(list(tmp_path.iterdir()))}"
        lookalike_command("index", "build", str(vectors), "-o", str(built), "--engine", "annoy")
        done = lookalike_command(
            "index", "publish", str(built), "dresses", "--store", str(store), "--json"
        )
        return json.loads(done.output)

    return publish


def listed(lookalike_command, store):
    shown = lookalike_command("index", "list", "--store", str(store), "--json")
    return [
        (each["generation"], each["current"]) for each in json.loads(shown.output)["generations"]
    ]


def test_build_says_what_it_made_and_what_comes_next(lookalike_command, vectors, tmp_path):
    done = lookalike_command("index", "build", str(vectors), "-o", str(tmp_path / "built"))

    assert done.exit_code == 0
    assert "60 photos of 20 items, 16 dimensions, engine exact" in done.output
    assert "lookalike index publish" in done.output


def test_a_forest_comes_with_its_curve(lookalike_command, vectors, tmp_path):
    done = lookalike_command(
        "index", "build", str(vectors), "-o", str(tmp_path / "built"), "--engine", "annoy", "--json"
    )

    built = json.loads(done.output)
    assert built["engine"] == "annoy"
    assert built["efforts"][-1]["recall"] > 0.9


def test_the_articles_index_can_be_deterministic_as_well(lookalike_command, vectors, tmp_path):
    options = ("-o", str(tmp_path / "built"), "--article", "40", "--deterministic")
    assert lookalike_command("index", "build", str(vectors), *options).exit_code == 0

    on_one_thread = replace(BuildOptions.article(40), threads=1)
    build(read_source(vectors), tmp_path / "again", on_one_thread)
    forests = [(tmp_path / name / "forest").read_bytes() for name in ("built", "again")]
    assert forests[0] == forests[1]


def test_publishing_moves_current_and_rollback_moves_it_back(lookalike_command, publish, store):
    assert publish()["generation"] == 1
    assert publish()["generation"] == 2
    assert listed(lookalike_command, store) == [(2, True), (1, False)]

    done = lookalike_command("index", "rollback", "dresses", "--store", str(store))

    assert "CURRENT is generation 1" in done.output
    assert listed(lookalike_command, store) == [(2, False), (1, True)]


def test_a_hold_lets_publishes_write_but_not_serve(lookalike_command, publish, store):
    publish()
    lookalike_command("index", "hold", "dresses", "--store", str(store), "--reason", "a test")

    assert publish()["current"] is False
    assert listed(lookalike_command, store) == [(2, False), (1, True)]

    lookalike_command("index", "release", "dresses", "--store", str(store))
    assert publish()["current"] is True


def test_prune_says_first_what_it_would_remove(lookalike_command, publish, store):
    for _ in range(4):
        publish()
    prune = ("index", "prune", "--store", str(store), "--keep", "1", "--grace-hours", "0")

    would = lookalike_command(*prune, "--dry-run")
    assert "would remove 2 generations" in would.output  # CURRENT and its parent stay
    assert len(listed(lookalike_command, store)) == 4

    assert "removed 2 generations" in lookalike_command(*prune).output
    assert [number for number, _ in listed(lookalike_command, store)] == [4, 3]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("build", "{empty}", "-o", "{new}"), "expected vectors.npy"),
        (("build", "{vectors}", "-o", "{empty}"), "expected a folder that does not exist yet"),
        (("build", "{vectors}", "-o", "{new}", "--type", "size=number"), "expected NAME=KIND"),
        (
            ("build", "{vectors}", "-o", "{new}", "--type", "color=string"),
            "--type: expected one of photo_id, item_id, colour, size, got color",
        ),
        (("build", "{vectors}", "-o", "{new}", "--target-recall", "99"), "not in the range"),
        (("list", "dresses", "--store", "{store}"), "expected a published one (none)"),
        (("build", "{vectors}", "-o", "{new}", "--type", "colour=int64"), "colour: expected int64"),
        (("publish", "{empty}", "dresses", "--store", "{store}"), "got No such file or directory"),
        (("tune", "{empty}"), "/vectors.npy: No such file or directory"),
        (("status", "dresses", "--store", "{store}"), "expected a published one (none)"),
        (("prune", "--store", "{broken}"), "/blobs: File exists"),
        (("rollback", "dresses", "--store", "{store}"), "expected a published one (none)"),
    ],
)
def test_a_mistake_is_named_without_a_traceback(
    lookalike_command, vectors, store, tmp_path, arguments, words
):
    (tmp_path / "empty").mkdir()
    store.mkdir()
    places = {
        "empty": tmp_path / "empty",
        "new": tmp_path / "new",
        "vectors": vectors,
        "store": store,
        "broken": tmp_path / "broken",
    }
    places["broken"].mkdir()
    (places["broken"] / "blobs").touch()

    done = lookalike_command("index", *(each.format(**places) for each in arguments))

    assert done.exit_code in (1, 2)
    assert words in done.output
    assert "Traceback" not in done.output
    assert "Errno" not in done.output
    assert "Error(" not in done.output


def test_a_damaged_manifest_is_listed_as_such_and_can_be_left(lookalike_command, publish, store):
    publish()
    publish()
    (manifest,) = store.glob("indexes/dresses/generations/00000002-*.json")
    manifest.write_bytes(manifest.read_bytes()[:100])

    shown = lookalike_command("index", "list", "--store", str(store))
    assert "damaged" in shown.output

    lookalike_command("index", "rollback", "dresses", "--store", str(store), "--to", "1")
    assert listed(lookalike_command, store) == [(2, False), (1, True)]


def test_the_list_says_who_is_on_hold_and_why(lookalike_command, publish, store):
    publish()
    lookalike_command("index", "hold", "dresses", "--store", store, "--reason", "lost the shoes")

    shown = lookalike_command("index", "list", "--store", store).output

    assert "dresses is on hold since" in shown
    assert "lost the shoes" in shown


def test_what_lies_about_in_a_store_keeps_no_index_from_being_listed(
    lookalike_command, publish, store
):
    publish()
    (store / "indexes/README").write_text("ours")
    (store / "indexes/Old Dresses").mkdir()
    (store / "indexes/dresses/HOLD").write_text("garbage")

    shown = lookalike_command("index", "list", "--store", store)

    assert shown.exit_code == 0
    assert "CURRENT" in shown.output
    assert "dresses is on hold since ?: indexes/dresses/HOLD: " in shown.output


def test_a_store_that_does_not_exist_is_refused_by_all_but_publish(lookalike_command, tmp_path):
    done = lookalike_command("index", "list", "--store", tmp_path / "mistyped")

    assert done.exit_code == 2
    assert "does not exist" in done.output


def test_items_are_added_removed_and_compacted(lookalike_command, publish, vectors, store):
    publish()
    at = ("--store", str(store))

    same = lookalike_command("index", "add", "dresses", str(vectors), *at)
    gone = lookalike_command("index", "remove", "dresses", "i3", "nobody", *at)
    none = lookalike_command("index", "remove", "dresses", "nobody", *at)
    whole = lookalike_command("index", "compact", "dresses", *at)
    again = lookalike_command("index", "compact", "dresses", *at)

    assert "CURRENT is generation 2, 20 items changed" in same.output
    assert "100% of the base changed: `lookalike index compact dresses` is due" in same.output
    assert "CURRENT is generation 3, 1 item removed; not there: 1 item" in gone.output
    assert "nothing changes; not there: 1 item" in none.output
    assert "CURRENT is generation 4, one segment" in whole.output
    assert "nothing to compact" in again.output
    assert [each[0] for each in listed(lookalike_command, store)] == [4, 3, 2, 1]


def test_ids_to_remove_come_from_a_file_too(lookalike_command, publish, store, tmp_path):
    publish()
    (tmp_path / "ids").write_text("i1\ni2\n\n")

    done = lookalike_command(
        *("index", "remove", "dresses", "--ids", str(tmp_path / "ids")),
        *("--store", str(store), "--json"),
    )
    empty = lookalike_command("index", "remove", "dresses", "--store", str(store))

    assert json.loads(done.output)["changes"][0]["removed"] == 2
    assert empty.exit_code == 2
    assert "expected at least one" in empty.output


def test_a_change_that_cannot_be_taken_is_one_sentence(lookalike_command, vectors, store, publish):
    publish()
    (vectors / "space.json").write_text(json.dumps({"space_id": "b" * 64}))

    done = lookalike_command("index", "add", "dresses", str(vectors), "--store", str(store))

    assert done.exit_code == 1
    assert done.output.startswith("Error: space_id: expected one that dresses serves")
