from __future__ import annotations

import numpy as np
import pytest

from embedder_service.judging.telling import classification
from embedder_service.judging.trial import class_trial, retrieval_trial
from embedder_service.model import EmbeddingModel, build
from embedder_service.spec import ModelSpec

pytestmark = pytest.mark.torch

_PHOTOS = "coat/1/train dress/2/train hat/3/train coat/4/test dress/5/test hat/6/test"


@pytest.fixture
def told(catalogue_of, contestant):
    def of(models: list[EmbeddingModel], photos: str = _PHOTOS):
        catalogue = catalogue_of(photos)
        trial = class_trial(catalogue, retrieval_trial(catalogue, None, 99), 99)
        vectors = np.eye(8)[[0, 1, 2, 0, 1, 1][: len(catalogue.photos)]]  # a hat as a dress
        names = ["model A", "model B"][: len(models)]
        judged = [contestant(vectors, name) for name in names]
        return classification(trial, [contestant(np.ones((6, 8)), "blind", False), *judged], models)

    return of


def test_everyone_tells_by_the_nearest_and_models_by_their_classifier(told):
    found = told([_model("coat", "dress", "hat")])

    rows = [(row.name, row.way) for row in found.rows]
    assert rows == [
        ("chance", ""),
        ("blind", "the nearest photos' class"),
        ("model A", "the nearest photos' class"),
        ("model A", "its classifier"),
    ]
    assert found.rows[0].accuracy.top_1 == pytest.approx(1 / 3)
    assert found.rows[2].accuracy.top_1 == pytest.approx(2 / 3)
    assert (found.confusion_of, found.confusion_way) == ("model A", "its classifier")


def test_without_a_classifier_the_nearest_photos_make_the_confusion(told):
    found = told([_model()])

    assert len(found.rows) == 3
    assert found.confusion_way == "the nearest photos' class"
    assert found.confusion.counts == ((1, 0, 0), (0, 1, 0), (0, 1, 0))


def test_the_confusion_is_that_of_the_last_model(told):
    found = told([_model("coat", "dress", "hat"), _model()])

    assert (found.confusion_of, found.confusion_way) == ("model B", "the nearest photos' class")
    assert found.unknown == 0


def test_photos_of_a_class_that_was_not_taught_are_counted(told):
    found = told([_model("coat", "dress")])

    assert (found.unknown, found.rows[-1].accuracy.photos) == (1, 2)


def test_one_class_is_nothing_to_tell(told):
    assert told([_model()], "coat/1/train coat/2/test coat/3/test") is None
    assert told([_model()], "/1/train /2/test /3/test") is None


def _model(*classes: str) -> EmbeddingModel:
    return build(ModelSpec(backbone="resnet18", dimension=8, classes=classes)).eval()
