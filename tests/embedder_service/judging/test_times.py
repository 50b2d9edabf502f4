from __future__ import annotations

import numpy as np
import pytest

from embedder_service.judging.times import article_times
from embedder_service.judging.trial import retrieval_trial

pytestmark = pytest.mark.torch


@pytest.mark.parametrize("photos", [4, 40])
def test_the_articles_ways_are_measured_on_these_vectors(catalogue_of, contestant, photos):
    trial = retrieval_trial(catalogue_of("a/i/train " * photos), "each", 99)
    judged = contestant(np.random.default_rng(0).normal(size=(photos, 8)))

    one_by_one, product, annoy = article_times(trial, judged, categories=15)

    assert (one_by_one.recall, product.recall) == (1, 1)
    assert 0 < annoy.recall <= 1
    assert (one_by_one.queries, product.queries) == (min(5, photos), photos)
    assert annoy.name == "the article's annoy, 15 trees"
    assert annoy.build_seconds is not None
