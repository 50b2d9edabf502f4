from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from embedder_service.judging.contestants import Contestant, Maker, contest
from embedder_service.judging.copies import Originals
from embedder_service.spec import Preprocessing
from embedder_service.training.data import Catalogue

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def by_pixels(tiny: Catalogue) -> Contestant:
    """Whose vectors are the pixels themselves, each colour less its mean."""

    def embed(pixels, count, on_step):
        rows = [each.reshape(3, -1) - each.reshape(3, -1).mean(1, keepdims=True) for each in pixels]
        return np.array(rows, np.float32).reshape(count, -1)

    maker = Maker("by pixels", Preprocessing(resize=32, crop=32), embed)
    return contest(maker, tiny.photos, True, lambda *_: None)


def test_a_recompressed_copy_finds_its_original(tiny: Catalogue, by_pixels: Contestant):
    found = Originals(tiny, 20).judge(by_pixels, threshold=0.9)

    assert found.recall_at_1["recompressed"] == 1
    assert found.spread["recompressed"].low > 0.95
    assert found.spread["recompressed"].matched == 1
    assert found.recall_at_1["all four"] < 1
    assert found.spread["all four"].middle < found.spread["recompressed"].middle


def test_whoever_finds_the_original_finds_its_item(tiny: Catalogue, by_pixels: Contestant):
    found = Originals(tiny, 20).judge(by_pixels, threshold=None)

    for change, share in found.recall_at_1.items():
        assert found.item_recall_at_1[change] >= share
    assert found.spread["cropped"].matched is None


def test_a_file_that_is_there_twice_may_be_found_as_either(tiny: Catalogue, by_pixels: Contestant):
    last = tiny.photos[-1]
    twin = replace(tiny.photos[0], path=last.path, item_id=last.item_id)  # it comes first
    ids = twin.photo_id, last.photo_id
    twins = Catalogue(tiny.folder, (twin, *tiny.photos[1:]), copies=(ids,))
    contestant = contest(by_pixels.maker, twins.photos, True, lambda *_: None)

    known = Originals(twins, len(twins.photos)).judge(contestant, None)
    unknown = Originals(replace(twins, copies=()), len(twins.photos)).judge(contestant, None)

    assert known.recall_at_1["recompressed"] == 1
    assert unknown.recall_at_1["recompressed"] < 1
