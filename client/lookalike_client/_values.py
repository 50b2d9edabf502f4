"""Attribute values: Python's own on one side, the contract's typed Value on the other."""

from datetime import UTC, datetime
from typing import TypeAlias

from lookalike.search.v1 import search_pb2

AttributeValue: TypeAlias = str | int | float | bool | datetime | tuple[str, ...]
"""A missing attribute is left out. Moments are aware, in UTC, with microseconds."""


def to_value(value: AttributeValue) -> search_pb2.Value:
    match value:
        case bool():  # before int, which it is too
            return search_pb2.Value(bool_value=value)
        case str():
            return search_pb2.Value(string_value=value)
        case int():
            return search_pb2.Value(int64_value=value)
        case float():
            return search_pb2.Value(double_value=value)
        case datetime():
            return _moment(value)
        case tuple():
            return search_pb2.Value(strings_value=search_pb2.StringList(values=value))
    raise TypeError(
        f"value: expected text, a number, a bool, a datetime or a tuple of texts, got {value!r}"
    )


def from_value(value: search_pb2.Value) -> AttributeValue | None:
    """None where the value is unset, or of a kind newer than this client."""
    match value.WhichOneof("kind"):
        case "timestamp_value":
            return value.timestamp_value.ToDatetime(UTC)
        case "strings_value":
            return tuple(value.strings_value.values)
        case None:
            return None
        case kind:
            plain: str | int | float | bool = getattr(value, kind)
            return plain


def _moment(value: datetime) -> search_pb2.Value:
    if value.tzinfo is None:
        raise ValueError(f"value: expected a datetime with its time zone, got {value!r}")
    moment = search_pb2.Value()
    moment.timestamp_value.FromDatetime(value)
    return moment
