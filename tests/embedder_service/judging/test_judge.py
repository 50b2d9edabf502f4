"""Everything at once, on the tiny catalogue: what is found, and the page that shows it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from embedder_service import checkpoint
from embedder_service.judging.baselines import untrained_model
from embedder_service.judging.findings import Findings, as_json
from embedder_service.judging.judge import Asked, Judged, Settings, judge, read_models
from embedder_service.judging.page import page
from embedder_service.judging.served import Hit
from embedder_service.judging.words import headline, not_judged
from embedder_service.spec import ModelError, ModelSpec, Preprocessing
from embedder_service.training.data import Catalogue, CatalogueError, Damaged

pytestmark = pytest.mark.torch

_HOSTILE = "<script>alert(1)</script>&\"'"


@pytest.fixture(scope="module")
def hostile(tiny: Catalogue) -> Catalogue:
    """The tiny catalogue with a name for a category that a page must not take for its own."""
    first = tiny.categories[0]
    photos = tuple(
        replace(photo, category=_HOSTILE) if photo.category == first else photo
        for photo in tiny.photos
    )
    damaged = (Damaged(Path("<b>cut</b>.jpg"), "content: expected <i>more</i>"),)
    return replace(tiny, photos=photos, damaged=damaged)


@pytest.fixture(scope="module")
def models(hostile: Catalogue) -> list[Judged]:
    spec = ModelSpec(
        backbone="resnet18",
        dimension=16,
        preprocessing=Preprocessing(resize=32, crop=32),
        classes=hostile.categories,
    )
    made = [untrained_model(spec, hostile.gallery, seed) for seed in (1, 2)]
    return [Judged(Path("models", str(n)), f"{n}" * 64, model) for n, model in enumerate(made)]


@pytest.fixture(scope="module")
def found(hostile: Catalogue, models: list[Judged]) -> Findings:
    return judge(hostile, models, Settings(weights="none", copied=4), lambda *_: None)


@pytest.fixture(scope="module")
def shown(found: Findings, hostile: Catalogue) -> str:
    return page(found, hostile.photos)


def test_every_table_begins_with_chance_colours_and_the_backbone_before(found: Findings):
    everyone = ["chance", "colour histogram", "untrained backbone", "model A", "model B"]

    assert [row.name for row in found.standings] == everyone
    assert found.classification is not None
    assert [row.name for row in found.classification.rows] == [*everyone, "model A", "model B"]
    for variants in (found.distances, found.dimensions):
        assert variants is not None
        assert [row.name for row in variants.rows] == everyone
    assert [row.name for row in found.copies] == everyone[1:]  # its chance is in the page
    assert [row.name for row in found.similarities] == everyone[1:]


def test_two_models_are_compared_and_a_threshold_carried_over(found: Findings):
    assert found.lead is not None
    assert found.moved
    assert all(one.new.rate <= one.old.rate for one in found.moved)


def test_the_json_holds_the_figures_and_none_of_the_pictures(found: Findings):
    facts = json.loads(json.dumps(as_json(found)))

    assert facts["standings"][-1]["item"]["queries"] == 10
    assert facts["about"]["damaged"] == [["<b>cut</b>.jpg", "content: expected <i>more</i>"]]
    assert "others" not in facts["similarities"][0]
    assert "similarities" not in facts["copies"][0]
    assert "flat" not in facts["map"]
    assert len(json.dumps(facts)) < 100_000


def test_the_page_asks_nobody_for_anything(shown: str):
    page_alone = shown[: shown.index("<script>")]
    addresses = re.findall(r"""(?:src|href)\s*=\s*["']?([^"'\s>)]{1,9})|url\((.)""", page_alone)

    sources = {address[:5] for address, _ in addresses if address and address[0] != "#"}
    assert sources == {"data:"}
    assert {first for _, first in addresses} <= {"", "#"}  # an SVG's own clip paths
    assert "@import" not in shown
    assert "default-src 'none'" in shown


def test_the_page_has_all_its_parts_and_each_link_leads_to_one(shown: str):
    ids = set(re.findall(r'id="([a-z]+)"', shown))
    links = set(re.findall(r'href="#([a-z]+)"', shown))

    assert links <= ids
    assert {"retrieval", "classes", "distances", "times", "copies", "similarities"} <= links
    assert {"duplicates", "matrix", "map", "worst", "examples"} <= links
    assert shown.count("<svg") == 5  # the confusion, copies, similarities twice, the matrix


def test_names_of_the_catalogue_are_text_and_no_markup(shown: str):
    assert "&lt;script&gt;alert" in shown
    assert "<script>alert" not in shown
    assert "<b>cut" not in shown
    assert "<i>more" not in shown


def test_the_page_is_the_same_but_for_the_time_it_was_made(
    found: Findings, hostile: Catalogue, shown: str
):
    made = re.compile(r"made \d[^<]*")

    assert made.sub("", page(found, hostile.photos)) == made.sub("", shown)


def test_the_first_sentence_says_who_is_ahead_of_whom(found: Findings):
    said = headline(found)

    assert said.startswith("For ")
    assert "of held-out photos the nearest photo by model B shows the photo's own item" in said
    assert "chance " in said
    assert not_judged(found) == [
        "Photos looked for: 10. With so few, a few points more or less mean nothing."
    ]


def test_one_model_through_a_service(tiny: Catalogue, models: Sequence[Judged]):
    """Photos of no class and no item, the least that can be judged, and a service that has them."""
    photos = tuple(
        replace(photo, item_id=photo.photo_id, category="", split="train")
        for photo in tiny.photos[:4]
    )
    few = Catalogue(tiny.folder, photos, has_splits=False)
    search = lambda *_: [Hit(photos[0].item_id, ((photos[0].photo_id, 0.5),))]  # noqa: E731

    found = judge(few, models[-1:], Settings(weights="none"), lambda *_: Asked(search, "It"))

    assert (found.by, found.lead, found.distances, found.worst, found.map) == (
        "",
        None,
        None,
        (),
        None,
    )
    assert found.classification is None
    assert found.served is not None
    assert found.served.queries == 4
    assert headline(found).startswith("Nothing to count")
    assert len(not_judged(found)) == 3
    shown = page(found, few.photos)
    assert "came without splits" in shown
    assert 'id="retrieval"' not in shown


def test_fewer_photos_than_four_are_refused(tiny: Catalogue, models: Sequence[Judged]):
    few = Catalogue(tiny.folder, tiny.photos[:3])

    with pytest.raises(CatalogueError, match=r"images: expected at least 4 photos .* got 3"):
        judge(few, models[-1:], Settings(), lambda *_: None)


def test_models_are_read_from_their_folders(
    tiny: Catalogue, models: Sequence[Judged], tmp_path: Path
):
    golden = [photo.path.read_bytes() for photo in tiny.photos[:2]]
    folder = checkpoint.save(models[0].model, tmp_path, golden, "card")

    (read,) = read_models([folder])

    assert read.space_id == folder.name
    weights = read.model.state_dict()
    for name, tensor in models[0].model.state_dict().items():
        np.testing.assert_array_equal(weights[name], tensor)
    with pytest.raises(ModelError, match=r"model: expected one folder or two, got 3"):
        read_models([folder] * 3)
    with pytest.raises(ModelError, match=r"model: expected a folder"):
        read_models([tmp_path / "none"])
