"""The rows of the retrieval tables: chance first, then everyone who is compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from embedder_service.judging import retrieval
from embedder_service.judging.contestants import Contestant
from embedder_service.judging.findings import Lead, Standing
from embedder_service.judging.ranking import Found, find
from embedder_service.judging.retrieval import Retrieval
from embedder_service.judging.trial import LABELS, Trial

Numbers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
By = Literal["item", "category", ""]


@dataclass(frozen=True)
class Standings:
    """by: what can be counted at all, "" where nothing can. found: by row of `by`, chance left out.

    nearest: the gallery's columns nearest to each query, of the last contestant.
    """

    rows: tuple[Standing, ...]
    by: By
    found: tuple[Found, ...]
    nearest: Numbers

    @property
    def lead(self) -> Lead | None:
        """Of the last contestant over the one before it; None where nothing can be counted."""
        if not self.by:
            return None
        first = [(each.answerable().first == 1).astype(np.float64) for each in self.found[-2:]]
        gained = first[1] - first[0]
        return Lead(difference=float(gained.mean()), margin=retrieval.margin(gained))


def standings(
    trial: Trial, contestants: Sequence[Contestant], new_items: frozenset[str]
) -> Standings:
    """By cosine, exactly."""
    labels = [trial.labels(LABELS["item"]), trial.labels(LABELS["category"])]
    queried = [trial.photos[row].item_id for row in trial.queries]
    is_new = np.array([item in new_items for item in queried], bool)
    rows: list[Standing] = []
    all_found = []
    for each in contestants:
        queries, gallery = each.vectors[trial.queries], each.vectors[trial.gallery]
        found, nearest = find(queries, gallery, labels, trial.own)
        all_found.append(found)
        if not rows:
            rows.append(_standing("chance", False, found, is_new, retrieval.chance))
        rows.append(_standing(each.name, each.is_judged, found, is_new, retrieval.retrieval))
    by: By = "item" if rows[-1].item else "category" if rows[-1].category else ""
    of_by = tuple(found[1 if by == "category" else 0] for found in all_found)
    return Standings(tuple(rows), by, of_by, nearest)


def _standing(
    name: str,
    is_judged: bool,
    found: Sequence[Found],
    is_new: Flags,
    summed: Callable[[Found], Retrieval | None],
) -> Standing:
    of_items, of_categories = found
    return Standing(
        name=name,
        is_judged=is_judged,
        item=summed(of_items),
        new_item=None if is_new.all() else summed(of_items.of(is_new)),
        category=summed(of_categories),
    )
