"""`lookalike evaluate`: on tiny drawings, through a search service of its own."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from lookalike_client.testing import FakeServices
from PIL import Image

pytestmark = pytest.mark.torch

Evaluate = Callable[..., Result]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight items of two classes, three photos each, as a table; the third photo is held out."""
    folder = tmp_path_factory.mktemp("photos")
    generator = np.random.default_rng(0)
    rows = [("path", "label", "item_id", "split")]
    for item in range(8):
        colours = generator.integers(0, 256, (4, 4, 3))
        for number, split in enumerate(("train", "train", "test")):
            noisy = np.clip(colours + generator.normal(0, 8, colours.shape), 0, 255)
            picture = Image.fromarray(noisy.astype(np.uint8)).resize((64, 64))
            picture.save(folder / f"{item}-{number}.png")
            rows.append((f"{item}-{number}.png", f"class {item % 2}", f"item {item}", split))
    with (folder / "photos.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder / "photos.csv"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, photos: Path) -> list[Path]:
    from embedder_service import checkpoint
    from embedder_service.judging.baselines import untrained_model
    from embedder_service.spec import ModelSpec, Preprocessing
    from embedder_service.training.read import read_catalogue

    gallery = read_catalogue(photos).gallery
    spec = ModelSpec(
        backbone="resnet18",
        dimension=64,
        preprocessing=Preprocessing(resize=32, crop=32),
        classes=("class 0", "class 1"),
    )
    golden = [photo.path.read_bytes() for photo in gallery[:2]]
    folder = tmp_path_factory.mktemp("models")
    made = (untrained_model(spec, gallery, seed) for seed in (1, 2))
    return [checkpoint.save(model, folder, golden, "small") for model in made]


@pytest.fixture
def evaluate(lookalike_command: Evaluate, tmp_path: Path) -> Evaluate:
    """`lookalike evaluate ARGUMENTS`, the untrained backbone beside, into `out`."""
    usual = ("--weights", "none", "--out", tmp_path / "out")
    return lambda *arguments: lookalike_command("evaluate", *usual, *arguments)


def test_figures_are_printed_and_the_page_lies_beside_its_json(evaluate, photos, models, tmp_path):
    result = evaluate(photos, "--model", models[0])
    said = [line.split() for line in result.stdout.splitlines()]

    assert result.exit_code == 0, result.output
    assert ["item", "r@1", "r@5", "mAP", "category", "r@1", "mAP"] in said
    assert ["told", "by", "top-1", "top-3", "top-5"] in said  # the articles' table
    names = [" ".join(line[:2]).rstrip("0123456789.% ") for line in said]
    assert names.count("chance") == names.count("colour histogram") == 2
    assert any(line[:3] == ["fine-tuned", "its", "classifier"] for line in said)
    facts = json.loads((tmp_path / "out" / "report.json").read_text())
    assert (facts["about"]["queries"], facts["about"]["gallery"]) == (8, 16)
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Through the service" in page
    assert str(tmp_path) not in page  # whoever reads it does not know this machine


def test_the_index_that_is_built_for_it_answers_as_exact_search_does(evaluate, photos, models):
    result = evaluate(photos, "--model", models[0], "--json")
    facts = _facts(result)

    *_, here, exact, through = facts["served"]["rows"]
    assert result.stderr == ""
    assert here["item"] == exact["item"] == through["item"]
    assert facts["served"]["agreement"] == 1
    assert facts["served"]["queries"] == 8


def test_an_index_in_a_store_is_served_and_asked(evaluate, photos, models, tmp_path):
    store = stored_index(tmp_path, photos, models[0])
    there = ("--model", models[0], "--store", store, "--index")
    facts = _facts(evaluate(photos, *there, "dresses", "--json"))
    other = evaluate(photos, *there, "coats")

    assert facts["served"]["agreement"] == 1
    assert other.exit_code == 2
    assert f"Error: index: expected one that {store} serves, got coats" in other.stderr


def stored_index(folder: Path, photos: Path, model: Path) -> Path:
    """Of the gallery's photos by the model, named dresses."""
    import pyarrow as pa

    from embedder_service import checkpoint
    from embedder_service.judging.embedding import embed_photos
    from embedder_service.training.read import read_catalogue
    from search_service.build import BuildOptions, Source, build, publish
    from search_service.store import Store

    gallery = read_catalogue(photos).gallery
    ids = [{"photo_id": photo.photo_id, "item_id": photo.item_id} for photo in gallery]
    vectors = embed_photos(checkpoint.load(model).model, gallery)
    build(
        Source(vectors, pa.Table.from_pylist(ids), model.name),
        folder / "built",
        BuildOptions(engine="annoy"),
    )
    publish(Store(folder / "store"), "dresses", folder / "built")
    return folder / "store"


def test_two_models_and_a_threshold_in_use(evaluate, photos, models):
    both = ("--model", models[0], "--model", models[1])
    facts = _facts(evaluate(photos, *both, "--threshold", 0.8, "--json"))

    assert [model["space_id"] for model in facts["models"]] == [each.name for each in models]
    (moved,) = facts["moved"]
    assert moved["old"]["similarity"] == 0.8
    assert moved["new"]["rate"] <= moved["old"]["rate"]


def test_each_photo_may_be_looked_for_among_all_others_or_a_sample(evaluate, photos, models):
    sampled = ("--queries", "each", "--most-queries", 5)
    facts = _facts(evaluate(photos, "--model", models[0], *sampled, "--json"))

    assert (facts["about"]["kind"], facts["about"]["gallery"]) == ("each", 24)
    assert (facts["about"]["asked"], facts["about"]["queries"]) == (24, 5)
    assert facts["served"]["own_photos"] == 5


def test_what_cannot_be_judged_is_refused_in_a_line(evaluate, photos, models, tmp_path):
    lone = tmp_path / "lone"
    lone.mkdir()
    Image.new("RGB", (40, 40)).save(lone / "a.png")
    without_test = photos.with_name("train.csv")
    without_test.write_text(photos.read_text().replace(",test", ",train"))
    one, held_out = ("--model", models[0]), ("--queries", "held-out")

    refused = {
        (photos, "--model", "nowhere"): "model: expected a folder models/<space_id>",
        (photos, "--model", models[0].parent): (
            f"model: expected model.json in {models[0].parent}, got none; name one of the models"
        ),
        (photos, *one, *one, *one): "model: expected one folder or two, got 3",
        (lone, *one): "images: expected at least 4 photos that decode",
        (without_test, *one, *held_out): "queries: expected photos of the split test or query",
        (photos, *one, "--weights", "soup"): "weights: expected none, imagenet or a file, got soup",
    }
    for arguments, words in refused.items():
        result = evaluate(*arguments)
        assert result.exit_code == 2, result.output
        assert f"Error: {words}" in result.stderr


def test_a_place_that_takes_no_page_is_refused_before_anything_is_read(
    lookalike_command, photos, models
):
    out = photos / "out"  # below a file

    result = lookalike_command("evaluate", photos, "--model", models[0], "--out", out)

    assert result.exit_code == 2
    assert f"Error: out: expected a folder to write to, got {out}" in result.stderr
    assert "photos by" not in result.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--threshold", 0.5), "--threshold: expected two models, got one"),
        (("--index", "dresses"), "--index: expected it together with --search or --store"),
        (("--search", "127.0.0.1:1"), "--index: expected it together with --search or --store"),
        (
            ("--search", "127.0.0.1:1", "--store", ".", "--index", "a"),
            "--search: expected it or --store, got both",
        ),
    ],
)
def test_options_that_do_not_go_together_are_refused(evaluate, photos, models, options, words):
    result = evaluate(photos, "--model", models[0], *options)

    assert result.exit_code == 2
    assert words in result.stderr


def test_a_service_with_another_models_vectors_is_refused(evaluate, photos, models):
    with FakeServices(index="dresses") as services:
        services.add("d-1", {"d-1/front.jpg": b"one"})
        there = ("--model", models[0], "--search", services.search_address, "--index")

        other_space = evaluate(photos, *there, "dresses")
        other_index = evaluate(photos, *there, "coats")
    nobody = evaluate(photos, "--model", models[0], "--search", "127.0.0.1:1", "--index", "a")

    assert [each.exit_code for each in (other_space, other_index, nobody)] == [2, 2, 2]
    assert f"index: expected dresses to hold vectors of {models[0]}" in other_space.stderr
    assert "got coats" in other_index.stderr
    assert "search: expected a service at 127.0.0.1:1, got none" in nobody.stderr
    assert "photos by" not in other_space.stderr  # told before the embedding


def _facts(result: Result) -> dict:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)
