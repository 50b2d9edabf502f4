from __future__ import annotations

import numpy as np
import pytest
import torch

from embedder_service.judging.classes import (
    accuracy,
    chance,
    classes_of,
    confusion,
    told_by_classifier,
    told_by_nearest,
)
from embedder_service.judging.ranking import Labels
from embedder_service.judging.trial import retrieval_trial
from embedder_service.model import build
from embedder_service.spec import ModelSpec, Preprocessing

pytestmark = pytest.mark.torch

_NONE = np.array([-1])


def test_classes_come_in_the_order_of_their_nearest_photo():
    gallery = np.array([[4], [3], [2], [1]], np.float32)
    labels = Labels(np.array([2]), np.array([1, 1, 0, 2]))

    told = told_by_nearest(np.ones((1, 1), np.float32), gallery, labels, _NONE)

    assert (told.ranks.tolist(), told.first.tolist()) == ([3], [1])


def test_a_class_without_a_photo_comes_after_all():
    labels = Labels(np.array([2]), np.array([0, 1]))

    told = told_by_nearest(
        np.ones((1, 1), np.float32), np.eye(2, 1, dtype=np.float32), labels, _NONE
    )

    assert told.ranks.tolist() == [4]
    assert accuracy(told).top_5 == 1  # of three classes any is among the first five


def test_a_photo_does_not_tell_its_own_class():
    vectors = np.eye(3, dtype=np.float32)
    labels = Labels(np.arange(3), np.arange(3))

    assert (told_by_nearest(vectors, vectors, labels, np.arange(3)).ranks > 1).all()


def test_the_classifier_ranks_as_its_logits_do():
    spec = ModelSpec(
        backbone="resnet18",
        dimension=8,
        preprocessing=Preprocessing(resize=32, crop=32),
        classes=tuple("abcde"),
    )
    model = build(spec).eval()
    raw = np.random.default_rng(0).normal(size=(20, 8)).astype(np.float32)
    with torch.inference_mode():
        order = model.classify(torch.from_numpy(raw)).argsort(1, descending=True).numpy()

    for rank in range(5):
        told = told_by_classifier(model, raw, order[:, rank])
        assert (told.ranks == rank + 1).all()
        assert (told.first == order[:, 0]).all()


def test_photos_of_classes_that_were_not_taught_are_left_out(catalogue_of):
    spec = ModelSpec(backbone="resnet18", dimension=8, classes=("coat", "dress"))
    trial = retrieval_trial(catalogue_of("dress/1/train hat/2/train coat/3/train"), "each", 9)

    places, wanted = classes_of(build(spec), trial)

    assert (places.tolist(), wanted.tolist()) == ([0, 2], [1, 0])


def test_a_random_order_of_15_classes():
    by_chance = chance(100, 15)

    assert (by_chance.top_1, by_chance.top_3, by_chance.top_5) == (1 / 15, 3 / 15, 5 / 15)
    assert chance(100, 2).top_5 == 1


def test_a_confusion_counts_who_is_taken_for_whom():
    table = confusion(np.array([0, 0, 0, 1]), np.array([0, 1, 1, 1]), ["coat", "hat", "shoe"], 9)

    assert table.classes == ("coat", "hat")
    assert table.counts == ((1, 2), (0, 1))
    assert table.worst(4) == [("coat", "hat", 2, pytest.approx(2 / 3))]


def test_the_rarest_classes_are_left_out_where_there_are_too_many():
    wanted = np.repeat(np.arange(5), [5, 1, 4, 2, 3])
    table = confusion(wanted, wanted, list("abcde"), 3)

    assert (table.classes, table.left_out) == (("a", "c", "e"), 2)
