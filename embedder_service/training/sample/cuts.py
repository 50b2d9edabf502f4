"""How the items of a category come to differ in cut while they share cloths.

Items of one category and cloth differ only in cut: one style from each deck, and lengths and
widths spread evenly over their ranges.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from embedder_service.training.sample.fabrics import FABRICS, Fabric
from embedder_service.training.sample.parts import Garment, Part

SAME_FABRIC = 4  # items of one category that share a cloth before the next cloth comes

Fields = Mapping[str, Any]
Style = tuple[str, Fields]
Deck = Sequence[Style]


@dataclass(frozen=True, kw_only=True)
class Category:
    """A kind of garment: its cloths, its styles and the ranges of its measures in centimetres.

    A style overrides a measure, and a measure what the category starts from.
    """

    name: str
    type_name: Literal["upper", "lower", "full"]
    fabrics: tuple[str, ...]
    sew: Callable[[Fields], list[Part]]
    start: Fields
    decks: tuple[Deck, ...]
    ranges: Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class Design:
    """One item as it is sewn: its category, cloth and cut, and the word that tells the cut."""

    category: Category
    fabric: Fabric
    cut: Fields
    word: str

    def garment(self, arms_degrees: float = 0.0) -> Garment:
        """The parts, the arms turned out by some degrees more than the cut has them."""
        turned = dict(self.cut)
        if "chest" in turned:
            turned["sleeve_degrees"] = turned.get("sleeve_degrees", 26.0) + arms_degrees
        return tuple(self.category.sew(turned))


def designs(category: Category, count: int, rng: np.random.Generator) -> list[Design]:
    """`count` items of a category, each of another cut."""
    hands = [_deal(deck, count, rng) for deck in category.decks]
    measures = {name: _spread(*ends, count, rng) for name, ends in category.ranges.items()}
    items = []
    for item in range(count):
        cut = dict(category.start) | {name: values[item] for name, values in measures.items()}
        styles = [hand[item] for hand in hands]
        for _, fields in styles:
            cut.update(fields)
        word = next((word for word, _ in styles if word), "Classic")
        cloth = category.fabrics[item // SAME_FABRIC % len(category.fabrics)]
        items.append(Design(category, FABRICS[cloth], cut, word))
    return items


def _deal(deck: Deck, count: int, rng: np.random.Generator) -> list[Style]:
    """Shuffled decks one after the other, so that neighbours rarely hold the same style."""
    order = [i for _ in range(count // len(deck) + 1) for i in rng.permutation(len(deck))]
    return [deck[i] for i in order[:count]]


def _spread(low: float, high: float, count: int, rng: np.random.Generator) -> list[float]:
    """One value from each of `count` equal strata, shuffled."""
    strata = (rng.permutation(count) + rng.random(count)) / count
    return [float(low + (high - low) * value) for value in strata]
