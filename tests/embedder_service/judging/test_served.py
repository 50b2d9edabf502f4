from __future__ import annotations

import numpy as np
import pytest

from embedder_service.judging.served import Hit, judge_served
from embedder_service.judging.trial import Trial, retrieval_trial

pytestmark = pytest.mark.torch

_PHOTOS = " ".join(f"{'ab'[number % 2]}/i{number // 3}/train" for number in range(60))


class Service:
    """Answers as a search service over a trial's gallery does; by default it forgets some."""

    def __init__(self, trial: Trial, vectors: np.ndarray, forgets: int = 0) -> None:
        self._photos = [trial.photos[row] for row in trial.gallery]
        self._vectors, self._forgets = vectors[trial.gallery], forgets

    def __call__(self, vector: np.ndarray, count: int, exact: bool) -> list[Hit]:
        near = self._vectors @ vector
        hits: dict[str, list[tuple[str, float]]] = {}
        for row in np.argsort(-near, kind="stable"):
            photo = self._photos[row]
            hits.setdefault(photo.item_id, []).append((photo.photo_id, float(near[row])))
        found = [Hit(item, tuple(photos[:2])) for item, photos in hits.items()]
        return found[:count] if exact else found[self._forgets : count]


@pytest.fixture
def trial(catalogue_of):
    return retrieval_trial(catalogue_of(_PHOTOS), "each", 1000)


@pytest.fixture
def judged(contestant):
    return contestant(np.random.default_rng(0).normal(size=(60, 6)))


def test_a_service_that_answers_exactly_stands_where_exact_search_does(trial, judged):
    served = judge_served(Service(trial, judged.vectors), "It", trial, [judged])
    chance, here, exact, by_default = served.rows

    assert [row.name for row in served.rows] == [
        "chance",
        "fine-tuned",
        "through the service, exact",
        "through the service",
    ]
    assert here.item == exact.item == by_default.item
    assert here.category == exact.category == by_default.category
    assert chance.item is not None
    assert chance.item.recall_at_1 == pytest.approx(1 / 20)
    assert (served.agreement, served.known, served.queries) == (1, 1, 60)


def test_the_very_photo_is_left_out_of_its_own_answer(trial, judged):
    served = judge_served(Service(trial, judged.vectors), "It", trial, [judged])

    assert served.own_photos == 60
    assert served.rows[-1].item is not None
    assert served.rows[-1].item.recall_at_1 < 1  # random vectors: only the photo itself is near


def test_what_a_service_forgets_lowers_the_agreement(trial, judged):
    served = judge_served(Service(trial, judged.vectors, forgets=3), "It", trial, [judged])

    assert 0.6 < served.agreement < 0.9
    assert served.rows[-1].item.recall_at_10 < served.rows[-2].item.recall_at_10


def test_an_index_of_another_catalogue_is_seen(trial, judged):
    def elsewhere(vector: np.ndarray, count: int, exact: bool) -> list[Hit]:
        return [Hit(f"other {number}", ((f"p{number}", 0.5),)) for number in range(count)]

    served = judge_served(elsewhere, "It", trial, [judged])

    assert (served.known, served.own_photos, served.agreement) == (0, 0, 1)
    assert served.rows[-1].item.recall_at_10 == 0


def test_an_empty_answer_is_no_mishap(trial, judged):
    served = judge_served(lambda *_: [], "It", trial, [judged])

    assert (served.known, served.rows[-1].item.recall_at_10) == (0, 0)
