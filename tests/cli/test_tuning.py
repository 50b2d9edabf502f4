import json

import numpy as np
import pytest

SPACE = "a" * 64


@pytest.fixture(scope="module")
def vectors(tmp_path_factory):
    """A folder as `lookalike embed` leaves it: 2,100 photos, few enough to be measured quickly."""
    folder = tmp_path_factory.mktemp("embedded") / "vectors"
    folder.mkdir()
    generator = np.random.default_rng(0)
    drawn = generator.standard_normal((2_100, 6)) @ generator.standard_normal((6, 40))
    np.save(folder / "vectors.npy", drawn.astype(np.float32))
    (folder / "photos.csv").write_text("\n".join(["photo_id", *(f"p{i:04}" for i in range(2_100))]))
    (folder / "space.json").write_text(json.dumps({"space_id": SPACE}))
    return folder


def test_every_engine_is_measured_and_the_choice_is_explained(lookalike_command, vectors, tmp_path):
    done = lookalike_command("index", "tune", vectors, "--trees", 5, "--out", tmp_path / "a.png")

    assert done.exit_code == 0, done.output
    assert "2,100 photos, 40 dimensions" in done.output
    assert "annoy 32" in done.output
    assert "graph, all dimensions" in done.output
    assert "--engine auto: annoy" in done.output
    assert "the fastest of those that it measures at a recall of 0.99" in done.output
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_a_published_index_is_measured_as_it_is_served(lookalike_command, vectors, tmp_path):
    store, built = tmp_path / "store", tmp_path / "built"
    lookalike_command("index", "build", vectors, "-o", built, "--engine", "graph")
    lookalike_command("index", "publish", built, "dresses", "--store", store)
    lookalike_command("index", "remove", "dresses", "p0000", "--store", store)

    done = lookalike_command(
        "index", "tune", "dresses", "--store", store, "--engine", "graph", "--json"
    )

    told = json.loads(done.output)
    assert told["photos"] == 2_099
    (tried,) = told["tried"]
    assert tried["engine"] == "graph"
    assert tried["efforts"][-1]["sure_recall"] >= 0.98
    assert told["chosen"] == {"auto": None, "fastest": {"engine": "graph", "width": tried["width"]}}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing-there"], "WHAT: expected a folder, or --store with an index"),
        ([".", "--out", "curves.gif"], "--out: expected a name in .png or .svg, got curves.gif"),
        (["."], "expected vectors.npy"),
        (["shoes", "--store", "."], "shoes"),
    ],
)
def test_a_mistake_is_named_without_a_traceback(lookalike_command, arguments, message):
    done = lookalike_command("index", "tune", *arguments)

    assert done.exit_code in (1, 2)
    assert message in done.output
    assert "Traceback" not in done.output
