"""How a caller wants to be answered, read from the proto and checked."""

import math

from lookalike.search.v1 import search_pb2 as pb

from lookalike_kit.errors import InvalidField
from search_service.errors import AnswerTooLarge
from search_service.query import MaxPerValue, Options

MAX_K = 1000
MAX_PHOTOS_PER_ITEM = 10
MAX_FILTERS = 16
MAX_EXCLUDED = 1000
# Ids are at most 128 and 192 bytes and an item's attributes 1 KiB (the build refuses more), so
# that these two keep every answer under the 4 MiB that clients receive by default.
MAX_PHOTO_HITS = 10_000
MAX_HITS_WITH_ATTRIBUTES = 1_500

DEFAULT_RECALL = 0.99
RECALLS = {
    pb.ACCURACY_UNSPECIFIED: DEFAULT_RECALL,
    pb.ACCURACY_RECALL_90: 0.90,
    pb.ACCURACY_RECALL_95: 0.95,
    pb.ACCURACY_RECALL_99: 0.99,
    pb.ACCURACY_EXACT: 1.0,
}


def read_options(options: pb.SearchOptions, queries: int) -> Options:
    """The options of a call of so many queries."""
    k = options.k if options.HasField("k") else 10
    photos = options.photos_per_item if options.HasField("photos_per_item") else 1
    _check_whole(k, "options.k", MAX_K)
    _check_whole(photos, "options.photos_per_item", MAX_PHOTOS_PER_ITEM)
    _check_length(len(options.filters), "options.filters", MAX_FILTERS)
    _check_length(len(options.exclude_item_ids), "options.exclude_item_ids", MAX_EXCLUDED)
    for name in ("minimum_similarity", "collapse_similarity", "diversity"):
        _check_share(getattr(options, name), f"options.{name}")
    if options.accuracy not in RECALLS:
        raise InvalidField("options.accuracy", "a known Accuracy", f"{options.accuracy}")
    _check_size(queries, k, photos, options.include_attributes)
    return Options(
        k=k,
        photos_per_item=photos,
        filters=tuple(options.filters),
        recall=RECALLS[options.accuracy],
        include_attributes=options.include_attributes,
        exclude_item_ids=tuple(options.exclude_item_ids),
        minimum_similarity=options.minimum_similarity,
        max_per_value=_max_per_value(options),
        collapse_similarity=options.collapse_similarity,
        diversity=options.diversity,
        strict_recall=options.strict_recall,
    )


def _max_per_value(options: pb.SearchOptions) -> MaxPerValue | None:
    if not options.HasField("max_per_value"):
        return None
    asked = options.max_per_value
    _check_whole(asked.count, "options.max_per_value.count", MAX_K)
    return MaxPerValue(asked.attribute, asked.count)


def _check_whole(value: int, field: str, most: int) -> None:
    if not 1 <= value <= most:
        raise InvalidField(field, f"1 to {most}", f"{value}")


def _check_length(length: int, field: str, most: int) -> None:
    if length > most:
        raise InvalidField(field, f"at most {most}", f"{length}")


def _check_share(value: float, field: str) -> None:
    if not (math.isfinite(value) and 0.0 <= value <= 1.0):
        raise InvalidField(field, "0 to 1", f"{value:g}")


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
