from __future__ import annotations

import numpy as np
import pytest

from embedder_service.judging.trial import class_trial, retrieval_trial, sample
from embedder_service.training.data import CatalogueError

pytestmark = pytest.mark.torch

_PHOTOS = "dress/d1/train dress/d1/test coat/c1/train coat/c1/val coat/c1/test /x/test"


def test_held_out_photos_are_looked_for_among_the_others(catalogue_of):
    trial = retrieval_trial(catalogue_of(_PHOTOS), None, 100)

    assert trial.kind == "held-out"
    assert trial.queries.tolist() == [1, 4]
    assert trial.gallery.tolist() == [0, 2, 3, 5]
    assert trial.own.tolist() == [-1, -1]


def test_without_held_out_photos_each_is_looked_for_among_all_others(catalogue_of):
    trial = retrieval_trial(catalogue_of("a/1/train a/1/train b/2/train"), None, 100)

    assert trial.kind == "each"
    assert trial.queries.tolist() == trial.own.tolist() == trial.gallery.tolist() == [0, 1, 2]


def test_each_may_be_asked_for(catalogue_of):
    assert retrieval_trial(catalogue_of(_PHOTOS), "each", 100).asked == 6


def test_held_out_photos_that_are_not_there_are_missed(catalogue_of):
    with pytest.raises(CatalogueError, match=r"queries: expected photos of the split test"):
        retrieval_trial(catalogue_of("a/1/train a/1/train"), "held-out", 100)


def test_more_queries_than_wanted_are_sampled_evenly(catalogue_of):
    trial = retrieval_trial(catalogue_of("a/1/train " * 100), None, 10)

    assert (trial.asked, trial.queries.tolist()) == (100, list(range(0, 100, 10)))
    assert sample(np.arange(3), 10).tolist() == [0, 1, 2]


def test_classes_are_asked_of_the_whole_test_split(catalogue_of):
    catalogue = catalogue_of(_PHOTOS)
    trial = class_trial(catalogue, retrieval_trial(catalogue, None, 100), 100)

    assert trial.queries.tolist() == [1, 4]  # the last has no class
    assert trial.gallery.tolist() == [0, 2, 3]


def test_queries_and_a_gallery_of_their_own_are_asked_for_classes_too(catalogue_of):
    catalogue = catalogue_of("a/1/train a/2/query a/2/gallery b/3/gallery")
    trial = class_trial(catalogue, retrieval_trial(catalogue, None, 100), 100)

    assert (trial.queries.tolist(), trial.gallery.tolist()) == ([1], [2, 3])
