"""Every design of every category can be sewn and painted."""

from __future__ import annotations

import numpy as np
import pytest

from embedder_service.training.sample.categories import CATEGORIES
from embedder_service.training.sample.cuts import SAME_FABRIC, Category, designs
from embedder_service.training.sample.fabrics import FABRICS
from embedder_service.training.sample.garment import cutout


@pytest.mark.parametrize("category", CATEGORIES, ids=lambda category: category.name)
def test_a_garment_fills_its_square_and_leaves_its_corners_clear(category: Category):
    design = designs(category, 20, np.random.default_rng(3))[7]
    alpha = np.asarray(cutout(design.garment(), design.fabric, np.random.default_rng(0)))[..., 3]

    assert 0.12 < (alpha > 128).mean() < 0.95
    assert not alpha[[0, 0, -1, -1], [0, -1, 0, -1]].any()


@pytest.mark.parametrize("category", CATEGORIES, ids=lambda category: category.name)
def test_items_of_a_cloth_differ_in_cut(category: Category):
    same_cloth = designs(category, 20, np.random.default_rng(0))[:SAME_FABRIC]

    assert len({design.fabric for design in same_cloth}) == 1
    assert len({tuple(sorted(design.cut.items())) for design in same_cloth}) == SAME_FABRIC


def test_every_cloth_named_by_a_category_exists_and_is_used_by_some():
    named = {name for category in CATEGORIES for name in category.fabrics}

    assert named <= set(FABRICS)
    assert all(len(category.fabrics) == 5 for category in CATEGORIES)
