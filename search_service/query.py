"""What a caller asks, read from the protos and checked."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from lookalike.search.v1 import search_pb2 as pb
from lookalike.v1.embedding_pb2 import Embedding

from lookalike_kit.errors import InvalidField
from search_service.engines import Vectors
from search_service.errors import UnusableVector, WrongDimension
from search_service.manifest import SHA256

MAX_QUERIES = 256
MAX_EXAMPLES = 16  # of each kind
# Lengths whose squares float32 holds with room; the squares of others need float64.
_ORDINARY = (1e-12, 1e12)


@dataclass(frozen=True)
class ByVector:
    """Neighbours of a vector of a space."""

    values: bytes
    space_id: str
    field: str


@dataclass(frozen=True)
class ByItem:
    """Neighbours of an item of the index, over all its photos."""

    item_id: str
    field: str


@dataclass(frozen=True)
class ByExamples:
    """Neighbours of what is like some examples and unlike others."""

    positive: tuple[ByVector | ByItem, ...]
    negative: tuple[ByVector | ByItem, ...]
    field: str


Target = ByVector | ByItem | ByExamples


@dataclass(frozen=True)
class MaxPerValue:
    """At most `count` hits with the same value of an attribute; items without one are free."""

    attribute: str
    count: int


@dataclass(frozen=True)
class Options:
    """How to answer."""

    k: int
    photos_per_item: int
    filters: tuple[pb.Filter, ...]
    recall: float  # 1.0: exact
    include_attributes: bool
    exclude_item_ids: tuple[str, ...] = ()
    minimum_similarity: float = 0.0
    max_per_value: MaxPerValue | None = None
    collapse_similarity: float = 0.0  # 0: nothing is collapsed
    diversity: float = 0.0
    strict_recall: bool = False
    eased: bool = False  # the recall was lowered because the replica is under pressure


def read_targets(queries: list[pb.Query], field: str) -> list[Target]:
    """The targets of a batch, all of one space; `field` names the list in errors."""
    if not 1 <= len(queries) <= MAX_QUERIES:
        raise InvalidField(field, f"1 to {MAX_QUERIES} queries", f"{len(queries)}")
    targets = [read_target(query, f"{field}[{i}]") for i, query in enumerate(queries)]
    spaces = [space_of(target) for target in targets]
    for i, space in enumerate(spaces):
        if space != spaces[0]:
            got = f"{field}[0] of {_said(spaces[0])}, {field}[{i}] of {_said(space)}"
            raise InvalidField(field, "queries of one space", got)
    return targets


def read_target(query: pb.Query, field: str) -> Target:
    match query.WhichOneof("target"):
        case "embedding":
            return _by_vector(query.embedding, f"{field}.embedding")
        case "item_id":
            return _by_item(query.item_id, f"{field}.item_id")
        case "examples":
            return _by_examples(query.examples, f"{field}.examples")
    raise InvalidField(field, "an embedding, an item_id or examples", "none of them")


def space_of(target: Target) -> str | None:
    """The space that has to answer; None: the index's first."""
    if isinstance(target, ByExamples):
        examples = (*target.positive, *target.negative)
        return next((each.space_id for each in examples if isinstance(each, ByVector)), None)
    return target.space_id if isinstance(target, ByVector) else None


def _said(space: str | None) -> str:
    return f"space {space[:8]}" if space else "the index's first, as without a vector"


def _by_vector(embedding: Embedding, field: str) -> ByVector:
    if not SHA256.fullmatch(embedding.space_id):
        raise InvalidField(
            f"{field}.space_id",
            "the 64 hexadecimal digits that Embed returned",
            repr(embedding.space_id[:80]),
        )
    return ByVector(embedding.values, embedding.space_id, f"{field}.values")


def _by_item(item_id: str, field: str) -> ByItem:
    if not item_id:
        raise InvalidField(field, "an id", "nothing")
    return ByItem(item_id, field)


def _by_examples(examples: pb.Examples, field: str) -> ByExamples:
    target = ByExamples(
        positive=_examples(examples.positive, f"{field}.positive", least=1),
        negative=_examples(examples.negative, f"{field}.negative", least=0),
        field=field,
    )
    vectors = [e for e in (*target.positive, *target.negative) if isinstance(e, ByVector)]
    spaces = {vector.space_id for vector in vectors}
    if len(spaces) > 1:
        raise InvalidField(field, "embeddings of one space", f"{len(spaces)} spaces")
    return target


def _examples(
    examples: Sequence[pb.Example], field: str, least: int
) -> tuple[ByVector | ByItem, ...]:
    if not least <= len(examples) <= MAX_EXAMPLES:
        raise InvalidField(field, f"{least} to {MAX_EXAMPLES} examples", f"{len(examples)}")
    return tuple(_example(example, f"{field}[{i}]") for i, example in enumerate(examples))


def _example(example: pb.Example, field: str) -> ByVector | ByItem:
    match example.WhichOneof("kind"):
        case "embedding":
            return _by_vector(example.embedding, f"{field}.embedding")
        case "item_id":
            return _by_item(example.item_id, f"{field}.item_id")
    raise InvalidField(field, "an embedding or an item_id", "neither")


def read_vector(target: ByVector, dimension: int) -> Vectors:
    """The caller's vector [d], normalised."""
    if len(target.values) != 4 * dimension:
        raise WrongDimension(
            f"{target.field}: expected {4 * dimension} bytes ({dimension} float32), "
            f"got {len(target.values)} bytes",
            field=target.field,
            expected=str(dimension),
            got=f"{len(target.values) / 4:g}",
        )
    vector = np.frombuffer(target.values, "<f4")
    length = math.sqrt(np.vdot(vector, vector))
    if not _ORDINARY[0] < length < _ORDINARY[1]:
        with np.errstate(invalid="ignore"):  # a signalling NaN is one of those refused below
            vector = vector.astype(np.float64)
        length = float(np.linalg.norm(vector))
    if not math.isfinite(length) or length == 0.0:
        raise UnusableVector(
            f"{target.field}: expected finite numbers that are not all 0, "
            f"got {'zeros' if length == 0.0 else 'NaN or infinity'}",
            field=target.field,
        )
    unit: Vectors = (vector / length).astype(np.float32, copy=False)
    return unit
