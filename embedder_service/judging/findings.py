"""Everything that a judging found out: what the page shows and the JSON holds.

Photos are named by their ids. Arrays are for the pictures alone and do not go into the JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from embedder_service.judging.classes import Accuracy, Confusion
from embedder_service.judging.copies import Copies
from embedder_service.judging.methods import Method
from embedder_service.judging.pairs import Moved, Threshold
from embedder_service.judging.retrieval import Retrieval
from embedder_service.judging.served import Served

Vectors = npt.NDArray[np.float32]
Shares = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class About:
    """The catalogue, and what was asked of it."""

    catalogue: str
    format_name: str
    photos: int
    items: int
    categories: int
    new_items: int
    queries: int
    asked: int  # of which the queries are a sample
    gallery: int
    kind: str  # "held-out" or "each"
    damaged: tuple[tuple[str, str], ...]  # the file and the reason
    notes: tuple[str, ...]
    copies: int  # groups of files with the same bytes


@dataclass(frozen=True, kw_only=True)
class Model:
    """One of the models judged; `name` is what the tables call it."""

    name: str
    folder: str
    space_id: str
    backbone: str
    head: str
    dimension: int
    side: int
    classes: int


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A row of the retrieval tables; None where the labels cannot say."""

    name: str
    is_judged: bool
    item: Retrieval | None
    new_item: Retrieval | None
    category: Retrieval | None


@dataclass(frozen=True, kw_only=True)
class Lead:
    """The second model's recall@1 less the first's, on the same queries; half a 95 % interval."""

    difference: float
    margin: float


@dataclass(frozen=True, kw_only=True)
class ClassRow:
    """A row of the classification table; `way` says what tells the class."""

    name: str
    way: str
    is_judged: bool
    accuracy: Accuracy


@dataclass(frozen=True, kw_only=True)
class Classification:
    """Whose category is told. unknown: photos whose category the classifier was not taught.

    confusion_of, confusion_way: whose confusion it is, and what told the class.
    """

    rows: tuple[ClassRow, ...]
    classes: int
    unknown: int
    confusion: Confusion
    confusion_of: str
    confusion_way: str


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One contestant, by distance or dimension: recall@1 and mAP by column; None: not possible."""

    name: str
    is_judged: bool
    recall_at_1: Mapping[str, float | None]
    mean_average_precision: Mapping[str, float | None]


@dataclass(frozen=True, kw_only=True)
class Variants:
    """by: "item" or "category". kept: the share of the variance, by column, of the model judged."""

    by: str
    queries: int
    columns: tuple[str, ...]
    rows: tuple[Variant, ...]
    kept: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Near:
    """A photo that came back. is_right: it has the query's label."""

    photo_id: str
    similarity: float
    is_right: bool


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """A query, what came, and what should have come: the nearest of its own, at its rank."""

    photo_id: str
    came: tuple[Near, ...]
    wanted: Near | None = None
    rank: int = 0


@dataclass(frozen=True, kw_only=True)
class Duplicate:
    """Two photos that are nearly one."""

    left: str
    right: str
    similarity: float
    same_item: bool


@dataclass(frozen=True, kw_only=True)
class Duplicates:
    """`pairs` are the nearest of `found`. is_given: the threshold is not of recompressed copies."""

    threshold: float
    is_given: bool
    found: int
    pairs: tuple[Duplicate, ...]


@dataclass(frozen=True, kw_only=True)
class Similarities:
    """Of one space: pairs of other items, pairs of the same, and thresholds between them."""

    name: str
    is_judged: bool
    other_pairs: int
    same_pairs: int
    thresholds: tuple[Threshold, ...]
    others: Shares
    same: Shares


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """The similarities of a few photos with each other; `lists` are the top of each row."""

    photo_ids: tuple[str, ...]
    similarities: tuple[tuple[float, ...], ...]
    lists: tuple[tuple[int, ...], ...]
    is_whole: bool


@dataclass(frozen=True, kw_only=True)
class Map:
    """Places in [0, 1] of photos, in two dimensions, and of the first of them in three."""

    photo_ids: tuple[str, ...]
    flat: Vectors
    deep: Vectors


@dataclass(frozen=True, kw_only=True)
class Findings:
    """All of it. A section that the catalogue cannot fill is None or empty."""

    about: About
    models: tuple[Model, ...]
    by: Literal["item", "category", ""]  # what can be counted; items, where they can
    standings: tuple[Standing, ...]
    lead: Lead | None
    examples: tuple[Sheet, ...]
    classification: Classification | None
    served: Served | None
    distances: Variants | None
    dimensions: Variants | None
    methods: tuple[Method, ...]
    copies: tuple[Copies, ...]
    copied: int  # photos
    duplicates: Duplicates
    similarities: tuple[Similarities, ...]
    moved: tuple[Moved, ...]
    matrix: Matrix
    map: Map | None
    worst: tuple[Sheet, ...]
    seconds: float


def as_json(value: Any) -> Any:
    """Plain values; shares rounded to five places, arrays left out."""
    if is_dataclass(value):
        each = {one.name: getattr(value, one.name) for one in fields(value)}
        return as_json(each)
    if isinstance(value, Mapping):
        return {key: as_json(each) for key, each in value.items() if not _is_array(each)}
    if isinstance(value, (tuple, list)):
        return [as_json(each) for each in value]
    return round(value, 5) if isinstance(value, float) else value


def _is_array(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(isinstance(each, np.ndarray) for each in value.values())
    return isinstance(value, np.ndarray)
