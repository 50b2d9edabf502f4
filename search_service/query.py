"""What a caller asks, read from the protos and checked."""

import math
from dataclasses import dataclass

import numpy as np
from lookalike.search.v1 import search_pb2 as pb

from lookalike_kit.errors import InvalidField
from search_service.engines import Vectors
from search_service.errors import AnswerTooLarge, UnusableVector, WrongDimension
from search_service.manifest import SHA256

MAX_K = 1000
MAX_PHOTOS_PER_ITEM = 10
MAX_FILTERS = 16
MAX_QUERIES = 256
# Ids are at most 128 and 192 bytes and an item's attributes 1 KiB (the build refuses more), so
# that these two keep every answer under the 4 MiB that clients receive by default.
MAX_PHOTO_HITS = 10_000
MAX_HITS_WITH_ATTRIBUTES = 1_500

RECALLS = {
    pb.ACCURACY_UNSPECIFIED: 0.99,
    pb.ACCURACY_RECALL_90: 0.90,
    pb.ACCURACY_RECALL_95: 0.95,
    pb.ACCURACY_RECALL_99: 0.99,
    pb.ACCURACY_EXACT: 1.0,
}


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


Target = ByVector | ByItem


@dataclass(frozen=True)
class Options:
    """How to answer."""

    k: int
    photos_per_item: int
    filters: tuple[pb.Filter, ...]
    recall: float  # 1.0: exact
    include_attributes: bool


def read_targets(queries: list[pb.Query], field: str) -> list[Target]:
    """The targets of a batch, all of one space; `field` names the list in errors."""
    if not 1 <= len(queries) <= MAX_QUERIES:
        raise InvalidField(field, f"1 to {MAX_QUERIES} queries", f"{len(queries)}")
    targets = [read_target(query, f"{field}[{i}]") for i, query in enumerate(queries)]
    spaces = {space_of(target) for target in targets}
    if len(spaces) > 1:
        raise InvalidField(field, "queries of one space", f"{len(spaces)} kinds of query")
    return targets


def read_target(query: pb.Query, field: str) -> Target:
    kind = query.WhichOneof("target")
    if kind == "embedding":
        embedding = query.embedding
        if not SHA256.fullmatch(embedding.space_id):
            raise InvalidField(
                f"{field}.embedding.space_id",
                "the 64 hexadecimal digits that Embed returned",
                repr(embedding.space_id[:80]),
            )
        return ByVector(embedding.values, embedding.space_id, f"{field}.embedding.values")
    if kind == "item_id":
        if not query.item_id:
            raise InvalidField(f"{field}.item_id", "an id", "nothing")
        return ByItem(query.item_id, f"{field}.item_id")
    raise InvalidField(field, "an embedding or an item_id", "neither")


def space_of(target: Target) -> str | None:
    """The space that has to answer; None: the index's first."""
    return target.space_id if isinstance(target, ByVector) else None


def read_options(options: pb.SearchOptions, queries: int) -> Options:
    k = options.k if options.HasField("k") else 10
    photos = options.photos_per_item if options.HasField("photos_per_item") else 1
    if not 1 <= k <= MAX_K:
        raise InvalidField("options.k", f"1 to {MAX_K}", f"{k}")
    if not 1 <= photos <= MAX_PHOTOS_PER_ITEM:
        raise InvalidField("options.photos_per_item", f"1 to {MAX_PHOTOS_PER_ITEM}", f"{photos}")
    if len(options.filters) > MAX_FILTERS:
        raise InvalidField("options.filters", f"at most {MAX_FILTERS}", f"{len(options.filters)}")
    if options.accuracy not in RECALLS:
        raise InvalidField("options.accuracy", "a known Accuracy", f"{options.accuracy}")
    _check_size(queries, k, photos, options.include_attributes)
    return Options(
        k=k,
        photos_per_item=photos,
        filters=tuple(options.filters),
        recall=RECALLS[options.accuracy],
        include_attributes=options.include_attributes,
    )


def _check_size(queries: int, k: int, photos: int, attributes: bool) -> None:
    if queries * k * photos > MAX_PHOTO_HITS:
        raise AnswerTooLarge(
            f"options.k: expected queries x k x photos_per_item of at most {MAX_PHOTO_HITS}, "
            f"got {queries} x {k} x {photos}",
            field="options.k",
            limit=str(MAX_PHOTO_HITS),
        )
    if attributes and queries * k > MAX_HITS_WITH_ATTRIBUTES:
        raise AnswerTooLarge(
            "options.include_attributes: expected queries x k of at most "
            f"{MAX_HITS_WITH_ATTRIBUTES} with attributes, got {queries} x {k}",
            field="options.include_attributes",
            limit=str(MAX_HITS_WITH_ATTRIBUTES),
        )


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
    with np.errstate(invalid="ignore"):  # a signalling NaN is one of those refused below
        vector = np.frombuffer(target.values, "<f4").astype(np.float64)
    length = float(np.linalg.norm(vector))
    if not math.isfinite(length) or length == 0.0:
        raise UnusableVector(
            f"{target.field}: expected finite numbers that are not all 0, "
            f"got {'zeros' if length == 0.0 else 'NaN or infinity'}",
            field=target.field,
        )
    return (vector / length).astype(np.float32)
