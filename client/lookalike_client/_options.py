"""How a search should answer: the keywords of every search, and the message made from them."""

import enum
from collections.abc import Mapping
from typing import TypedDict

from lookalike.search.v1 import search_pb2

from lookalike_client._values import AttributeValue, to_value


class Accuracy(enum.Enum):
    """How sure an answer should be: the share of the true nearest that is found, on average."""

    RECALL_90 = "recall_90"
    RECALL_95 = "recall_95"
    RECALL_99 = "recall_99"
    EXACT = "exact"


class SearchOptions(TypedDict, total=False):
    """The keywords of search, search_item, search_batch and similar."""

    k: int
    """The most items, 1 to 1000. Default 10."""
    where: Mapping[str, AttributeValue]
    """What every hit has, as {"colour": "red"}. A list of texts matches by each of them."""
    accuracy: Accuracy | None
    """None: the index's own target, usually RECALL_99."""
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
        filters=[_equals(name, value) for name, value in options.get("where", {}).items()],
        accuracy=_accuracy(options.get("accuracy")),
        include_attributes=options.get("include_attributes", False),
    )


def _accuracy(accuracy: Accuracy | None) -> search_pb2.Accuracy.ValueType:
    if accuracy is None:
        return search_pb2.ACCURACY_UNSPECIFIED
    return search_pb2.Accuracy.Value(f"ACCURACY_{accuracy.name}")


def _equals(attribute: str, value: AttributeValue) -> search_pb2.Filter:
    return search_pb2.Filter(equals=search_pb2.Equals(attribute=attribute, value=to_value(value)))
