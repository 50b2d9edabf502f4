"""The conditions of a search, over an item's attributes in plain Python."""

import operator
from collections.abc import Iterable, Mapping
from typing import Any

from lookalike.search.v1 import search_pb2

from lookalike_client._values import AttributeValue, from_value

Attributes = Mapping[str, AttributeValue]

_BOUNDS = {
    "greater_than": operator.gt,
    "at_least": operator.ge,
    "less_than": operator.lt,
    "at_most": operator.le,
}


def fulfils(attributes: Attributes, condition: search_pb2.Filter) -> bool:
    match condition.WhichOneof("condition"):
        case "equals":
            return _is_one_of(attributes, condition.equals.attribute, [condition.equals.value])
        case "is_in":
            return _is_one_of(attributes, condition.is_in.attribute, condition.is_in.values)
        case "range":
            return _lies_within(attributes, condition.range)
        case "missing":
            return condition.missing.attribute not in attributes
        case "all_of":
            return all(fulfils(attributes, each) for each in condition.all_of.filters)
        case "any_of":
            return any(fulfils(attributes, each) for each in condition.any_of.filters)
        case _:
            return not any(fulfils(attributes, each) for each in condition.none_of.filters)


def _is_one_of(attributes: Attributes, name: str, values: Iterable[search_pb2.Value]) -> bool:
    value = attributes.get(name)
    mine = value if isinstance(value, tuple) else (value,)
    return name in attributes and any(from_value(wanted) in mine for wanted in values)


def _lies_within(attributes: Attributes, asked: search_pb2.Range) -> bool:
    if asked.attribute not in attributes:
        return False
    value = _ordered(attributes[asked.attribute])
    return all(
        compare(value, _ordered(from_value(getattr(asked, bound))))
        for bound, compare in _BOUNDS.items()
        if asked.HasField(bound)  # type: ignore[arg-type]
    )


def _ordered(value: AttributeValue | None) -> Any:
    """Texts go by their UTF-8 bytes."""
    return value.encode() if isinstance(value, str) else value
