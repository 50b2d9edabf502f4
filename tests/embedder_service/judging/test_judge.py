"""Everything at once, on the tiny catalogue: what is found, and the page that shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from embedder_service import checkpoint
from embedder_service.judging.findings import Findings
from embedder_service.judging.judge import Asked, Judged, Settings, judge, read_models
from embedder_service.judging.page import page
from embedder_service.judging.served import Hit
from embedder_service.judging.words import headline, not_judged
from embedder_service.spec import ModelError
from embedder_service.training.data import Catalogue, CatalogueError

pytestmark = pytest.mark.torch


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
