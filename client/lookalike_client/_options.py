"""How a search should answer: the keywords of every search, and the message made from them."""

import enum
from collections.abc import Collection, Mapping, Sequence
from typing import TypedDict

from lookalike.search.v1 import search_pb2

from lookalike_client._values import AttributeValue
from lookalike_client.filters import Filter, equal


class Accuracy(enum.Enum):
    """How sure an answer should be: the share of the true nearest that is found, on average."""

    RECALL_90 = "recall_90"
    RECALL_95 = "recall_95"
    RECALL_99 = "recall_99"
    EXACT = "exact"


class SearchOptions(TypedDict, total=False):
    """The keywords of search, search_item, search_examples, search_batch and similar."""

    k: int
    """The most items, 1 to 1000. Default 10."""
    where: Mapping[str, AttributeValue]
    """What every hit has, as {"colour": "red"}. A list of texts matches by each of them."""
    filters: Sequence[Filter]
    """What every hit fulfils beside `where`; lookalike_client.filters makes them. With `where` at
    most 16, and 64 with those nested in them."""
    exclude: Collection[str]
    """Ids of items to leave out, at most 1000."""
    minimum_similarity: float
    """The least similarity of a hit, 0 to 1. Default 0: any."""
    max_per_value: tuple[str, int] | None
    """("brand", 2): at most two hits with the same brand. Items without a brand are not counted."""
    collapse_similarity: float
    """Leaves out what is this similar to an earlier hit, above 0 to 1; 1 means copies. Default 0:
    nothing."""
    diversity: float
    """From 0, the nearest, which is the default, to 1, the most unlike one another."""
    accuracy: Accuracy | None
    """None: the index's own target, usually RECALL_99."""
    strict_recall: bool
    """Raise RecallNotReached where the index was never measured to reach the accuracy, and be
    refused under pressure rather than be answered at less. Default False: the answer's shortfall is
    then "effort_lowered"."""
    photos_per_item: int
    """The most photos named a hit, 1 to 10. Default 1."""
    include_attributes: bool
    """Whether hits carry their attributes. Default False."""
    deadline_seconds: float | None
    """The time for all of it, retries included. None: the client's."""
    request_id: str | None
    """What the services' logs call this; None makes one."""


def search_options(options: SearchOptions) -> search_pb2.SearchOptions:
    for name in options.keys() - SearchOptions.__optional_keys__:
        known = ", ".join(sorted(SearchOptions.__optional_keys__))
        raise TypeError(f"{name}: expected one of {known}")
    return search_pb2.SearchOptions(
        k=options.get("k", 10),
        photos_per_item=options.get("photos_per_item", 1),
        filters=[
            *(equal(name, value) for name, value in options.get("where", {}).items()),
            *options.get("filters", ()),
        ],
        accuracy=_accuracy(options.get("accuracy")),
        include_attributes=options.get("include_attributes", False),
        exclude_item_ids=options.get("exclude", ()),
        minimum_similarity=options.get("minimum_similarity", 0.0),
        max_per_value=_max_per_value(options.get("max_per_value")),
        collapse_similarity=options.get("collapse_similarity", 0.0),
        diversity=options.get("diversity", 0.0),
        strict_recall=options.get("strict_recall", False),
    )


def _accuracy(accuracy: Accuracy | None) -> search_pb2.Accuracy.ValueType:
    if accuracy is None:
        return search_pb2.ACCURACY_UNSPECIFIED
    return search_pb2.Accuracy.Value(f"ACCURACY_{accuracy.name}")


def _max_per_value(cap: tuple[str, int] | None) -> search_pb2.MaxPerValue | None:
    return search_pb2.MaxPerValue(attribute=cap[0], count=cap[1]) if cap else None
