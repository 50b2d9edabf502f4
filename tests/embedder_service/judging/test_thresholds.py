from __future__ import annotations

import numpy as np
import pytest

from embedder_service.judging.thresholds import thresholds

pytestmark = pytest.mark.torch


def test_every_space_is_measured_on_the_same_pairs(catalogue_of, contestant):
    catalogue = catalogue_of(" ".join(f"/i{number // 4}/train" for number in range(200)))
    centres = np.repeat(np.random.default_rng(0).normal(size=(50, 8)), 4, axis=0)
    spread = np.random.default_rng(1).normal(size=(200, 8))
    sharp, blurred = contestant(centres + 0.2 * spread), contestant(centres + spread)

    found = thresholds(catalogue.photos, [blurred, sharp])

    old, new = found.spaces
    assert old.other_pairs == new.other_pairs == 200 * 196 // 2
    assert old.same_pairs == 50 * 6
    assert [one.rate for one in new.thresholds] == pytest.approx([0.05, 0.01, 0.001], rel=0.05)
    assert all(
        before.kept < after.kept
        for before, after in zip(old.thresholds, new.thresholds, strict=True)
    )
    assert [one.old.similarity for one in found.moved(None)] == [
        one.similarity for one in old.thresholds
    ]
    (one,) = found.moved(0.8)
    assert one.new.rate <= one.old.rate == pytest.approx(one.new.rate, abs=1e-4)
    assert one.new.kept > one.old.kept


def test_one_item_has_no_pairs_of_others(catalogue_of, contestant):
    catalogue = catalogue_of("/i1/train /i1/train")
    space = contestant(np.eye(2))

    found = thresholds(catalogue.photos, [space, space])

    assert (found.spaces[0].thresholds, found.moved(0.5)) == ((), ())
