"""The rows of the classification table, and who is taken for what."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from embedder_service.judging import classes
from embedder_service.judging.classes import Told
from embedder_service.judging.contestants import Contestant
from embedder_service.judging.findings import Classification, ClassRow
from embedder_service.judging.ranking import Labels
from embedder_service.judging.trial import Trial
from embedder_service.model import EmbeddingModel

Numbers = npt.NDArray[np.int64]

_MOST_CLASSES = 60  # in the confusion
_BY_NEAREST, _BY_CLASSIFIER = "the nearest photos' class", "its classifier"


def classification(
    trial: Trial, contestants: Sequence[Contestant], models: Sequence[EmbeddingModel]
) -> Classification | None:
    """All by their nearest photos, the models also by their classifiers, where they have one.

    None where there are no classes to tell apart. `models` are those of the judged contestants.
    """
    names = sorted({photo.category for photo in trial.photos if photo.category})
    if len(names) < 2 or not len(trial.queries) or len(trial.gallery) < 2:
        return None
    numbers = {name: number for number, name in enumerate(names)}
    codes = np.array([numbers.get(photo.category, -1) for photo in trial.photos], np.int64)
    labels = Labels(codes[trial.queries], codes[trial.gallery])
    chance = classes.chance(len(trial.queries), len(names))
    rows = [ClassRow(name="chance", way="", is_judged=False, accuracy=chance)]
    for each in contestants:
        queries, gallery = each.vectors[trial.queries], each.vectors[trial.gallery]
        told = classes.told_by_nearest(queries, gallery, labels, trial.own)
        rows.append(_row(each, _BY_NEAREST, told))
    nearest = told
    judged = [each for each in contestants if each.is_judged]
    for contestant, model in zip(judged, models, strict=True):
        told, way, wanted, known = nearest, _BY_NEAREST, labels.queries, names
        places, own = classes.classes_of(model, trial)
        if len(places):
            told = classes.told_by_classifier(model, contestant.raw(trial.queries[places]), own)
            rows.append(_row(contestant, _BY_CLASSIFIER, told))
            way, wanted, known = _BY_CLASSIFIER, own, list(model.spec.classes)
    return Classification(
        rows=tuple(rows),
        classes=len(names),
        unknown=len(trial.queries) - len(wanted),
        confusion=classes.confusion(wanted, told.first, known, _MOST_CLASSES),
        confusion_of=judged[-1].name,
        confusion_way=way,
    )


def _row(contestant: Contestant, way: str, told: Told) -> ClassRow:
    return ClassRow(
        name=contestant.name,
        way=way,
        is_judged=contestant.is_judged,
        accuracy=classes.accuracy(told),
    )
