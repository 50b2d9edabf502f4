"""Which items fulfil a call's conditions. Each is true or false of an item, never unknown.

A comparison with a missing value is false, so its negation is true: a condition and its negation
share all items out between them, as a caller who counts them expects.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from google.protobuf.timestamp_pb2 import Timestamp
from lookalike.search.v1 import search_pb2 as pb

from lookalike_kit.errors import InvalidField
from search_service.engines import Mask
from search_service.errors import UnknownAttribute, WrongAttributeType
from search_service.manifest import AttributeKind, Manifest
from search_service.segments import Segments

MAX_CONDITIONS = 64
MAX_DEPTH = 8
MAX_VALUES = 256

# The member of Value that each type of attribute is compared with; a list holds texts.
_MEMBERS: dict[AttributeKind, str] = {
    "string": "string_value",
    "int64": "int64_value",
    "double": "double_value",
    "bool": "bool_value",
    "timestamp": "timestamp_value",
    "strings": "string_value",
}
_ORDERED: tuple[AttributeKind, ...] = ("string", "int64", "double", "timestamp")
_SINGLE: tuple[AttributeKind, ...] = (*_ORDERED, "bool")

_BOUNDS: dict[str, Callable[[pa.ChunkedArray, pa.Scalar], pa.ChunkedArray]] = {
    "greater_than": pc.greater,
    "at_least": pc.greater_equal,
    "less_than": pc.less,
    "at_most": pc.less_equal,
}


def allowed_items(segments: Segments, manifest: Manifest, filters: Sequence[pb.Filter]) -> Mask:
    """True for each item, by number, that fulfils every condition."""
    return _Conditions(segments, manifest).all_of(filters, "options.filters", 1)


def grouped_values(
    segments: Segments, manifest: Manifest, name: str, field: str
) -> pa.ChunkedArray:
    """An attribute of one value an item, in a form whose values compare as plain Python."""
    kind = _kind(manifest, name, f"{field}.attribute")
    if kind not in _SINGLE:
        raise _wrong_type(name, kind, _SINGLE, field)
    column = segments.attribute(name)
    # Arrow asks the system's time zones for a moment, and a slim image has none.
    return column.cast(pa.int64()) if kind == "timestamp" else column


def equals_any(column: pa.ChunkedArray, values: Sequence[Any]) -> Mask:
    """True where a value of the column is among the values; a missing one never is."""
    if pa.types.is_floating(column.type):  # a set tells -0.0 from 0.0
        column, values = pc.add(column, 0.0), [value + 0.0 for value in values]
    return _mask(pc.is_in(column, value_set=pa.array(values, column.type)))


class _Conditions:
    """Evaluates conditions over one generation's items, counting them as it goes."""

    def __init__(self, segments: Segments, manifest: Manifest) -> None:
        self._segments = segments
        self._manifest = manifest
        self._count = 0

    def all_of(self, filters: Sequence[pb.Filter], field: str, depth: int) -> Mask:
        result = np.ones(self._segments.item_numbers, np.bool_)
        for i, each in enumerate(filters):
            result &= self._evaluate(each, f"{field}[{i}]", depth)
        return result

    def _any_of(self, filters: Sequence[pb.Filter], field: str, depth: int) -> Mask:
        result = np.zeros(self._segments.item_numbers, np.bool_)
        for i, each in enumerate(filters):
            result |= self._evaluate(each, f"{field}[{i}]", depth)
        return result

    def _evaluate(self, condition: pb.Filter, field: str, depth: int) -> Mask:
        self._count += 1
        if self._count > MAX_CONDITIONS:
            raise InvalidField(field, f"at most {MAX_CONDITIONS} conditions in all", "more")
        kind = condition.WhichOneof("condition")
        field = f"{field}.{kind}" if kind else field
        match kind:
            case "equals":
                return self._equals(condition.equals, field)
            case "is_in":
                return self._is_in(condition.is_in, field)
            case "range":
                return self._range(condition.range, field)
            case "missing":
                return self._missing(condition.missing, field)
            case "all_of":
                return self.all_of(*_nested(condition.all_of, field, depth))
            case "any_of":
                return self._any_of(*_nested(condition.any_of, field, depth))
            case "none_of":
                return ~self._any_of(*_nested(condition.none_of, field, depth))
        raise InvalidField(field, "a condition", "none")

    def _equals(self, equals: pb.Equals, field: str) -> Mask:
        kind, column = self._attribute(equals.attribute, field)
        value = _value(kind, equals.attribute, equals.value, f"{field}.value")
        if kind == "strings":
            return _holds_any(column, [value])
        return _mask(pc.equal(column, pa.scalar(value, column.type)))

    def _is_in(self, is_in: pb.In, field: str) -> Mask:
        kind, column = self._attribute(is_in.attribute, field)
        if not 1 <= len(is_in.values) <= MAX_VALUES:
            raise InvalidField(
                f"{field}.values", f"1 to {MAX_VALUES} values", f"{len(is_in.values)}"
            )
        values = [
            _value(kind, is_in.attribute, value, f"{field}.values[{i}]")
            for i, value in enumerate(is_in.values)
        ]
        return _holds_any(column, values) if kind == "strings" else equals_any(column, values)

    def _range(self, asked: pb.Range, field: str) -> Mask:
        kind, column = self._attribute(asked.attribute, field)
        if kind not in _ORDERED:
            raise _wrong_type(asked.attribute, kind, _ORDERED, field)
        bounds = [name for name in _BOUNDS if asked.HasField(name)]  # type: ignore[arg-type]
        if not bounds:
            raise InvalidField(field, "a bound", "none")
        result = np.ones(self._segments.item_numbers, np.bool_)
        for name in bounds:
            bound = _value(kind, asked.attribute, getattr(asked, name), f"{field}.{name}")
            if isinstance(bound, float) and math.isnan(bound):
                raise InvalidField(f"{field}.{name}", "a number", "NaN")
            result &= _mask(_BOUNDS[name](column, pa.scalar(bound, column.type)))
        return result

    def _missing(self, missing: pb.Missing, field: str) -> Mask:
        _, column = self._attribute(missing.attribute, field)
        return _mask(pc.is_null(column))

    def _attribute(self, name: str, field: str) -> tuple[AttributeKind, pa.ChunkedArray]:
        return _kind(self._manifest, name, f"{field}.attribute"), self._segments.attribute(name)


def _nested(filters: pb.FilterList, field: str, depth: int) -> tuple[Sequence[pb.Filter], str, int]:
    if depth == MAX_DEPTH:
        raise InvalidField(field, f"conditions at most {MAX_DEPTH} levels deep", "deeper ones")
    if not filters.filters:
        raise InvalidField(f"{field}.filters", "at least one condition", "none")
    return filters.filters, f"{field}.filters", depth + 1


def _mask(matches: pa.ChunkedArray) -> Mask:
    result: Mask = pc.fill_null(matches, False).to_numpy()
    return result


def _holds_any(column: pa.ChunkedArray, texts: Sequence[str]) -> Mask:
    allowed = np.zeros(len(column), np.bool_)
    lists = column.combine_chunks()
    owners = pc.list_parent_indices(lists).to_numpy()
    found = pc.is_in(pc.list_flatten(lists), value_set=pa.array(texts, pa.string()))
    allowed[owners[found.to_numpy(zero_copy_only=False)]] = True
    return allowed


def _kind(manifest: Manifest, name: str, field: str) -> AttributeKind:
    for attribute in manifest.attributes:
        if attribute.name == name:
            return attribute.kind
    known = ", ".join(attribute.name for attribute in manifest.attributes) or "none"
    raise UnknownAttribute(
        f"{field}: expected one of the attributes {known}, got {name[:80]!r}",
        index=manifest.index,
        attribute=name[:80],
        known=known,
    )


def _value(kind: AttributeKind, attribute: str, value: pb.Value, field: str) -> Any:
    expected = _MEMBERS[kind]
    got = value.WhichOneof("kind")
    if got != expected:
        raise WrongAttributeType(
            f"{field}: expected {expected} for the attribute {attribute} ({kind}), "
            f"got {got or 'no value'}",
            attribute=attribute,
            expected=expected,
            got=got or "no value",
        )
    plain = getattr(value, expected)
    return _micros(plain, field) if kind == "timestamp" else plain


def _wrong_type(
    attribute: str, kind: AttributeKind, expected: Sequence[AttributeKind], field: str
) -> WrongAttributeType:
    kinds = ", ".join(expected)
    return WrongAttributeType(
        f"{field}.attribute: expected an attribute of the types {kinds}, got {attribute} ({kind})",
        attribute=attribute,
        expected=kinds,
        got=kind,
    )


def _micros(moment: Timestamp, field: str) -> int:
    try:
        return int(moment.ToMicroseconds())
    except ValueError as error:
        raise InvalidField(field, "a moment from year 1 to 9999", error) from None
