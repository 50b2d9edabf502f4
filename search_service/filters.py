"""Which items fulfil a call's conditions."""

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
from search_service.segment import MappedSegment

# The member of Value that each type of attribute is compared with; a list holds texts.
_MEMBERS: dict[AttributeKind, str] = {
    "string": "string_value",
    "int64": "int64_value",
    "double": "double_value",
    "bool": "bool_value",
    "timestamp": "timestamp_value",
    "strings": "string_value",
}


def allowed_items(
    segment: MappedSegment, manifest: Manifest, filters: tuple[pb.Filter, ...]
) -> Mask:
    """True for each item of the segment that fulfils every condition."""
    allowed = np.ones(segment.item_count, np.bool_)
    for i, condition in enumerate(filters):
        field = f"options.filters[{i}]"
        if condition.WhichOneof("condition") != "equals":
            raise InvalidField(field, "a condition", "none")
        allowed &= _equal(segment, manifest, condition.equals, f"{field}.equals")
    return allowed


def _equal(segment: MappedSegment, manifest: Manifest, equals: pb.Equals, field: str) -> Mask:
    kind = _kind(manifest, equals.attribute, field)
    value = _value(kind, equals, field)
    column = segment.attribute(equals.attribute)
    if kind == "strings":
        return _holds(column, value)
    matches = pc.equal(column, pa.scalar(value, column.type))
    result: Mask = pc.fill_null(matches, False).to_numpy()
    return result


def _holds(column: pa.ChunkedArray, text: str) -> Mask:
    allowed = np.zeros(len(column), np.bool_)
    texts = column.combine_chunks()
    owners = pc.list_parent_indices(texts).to_numpy()
    found = pc.equal(pc.list_flatten(texts), text)
    allowed[owners[found.to_numpy(zero_copy_only=False)]] = True
    return allowed


def _kind(manifest: Manifest, name: str, field: str) -> AttributeKind:
    for attribute in manifest.attributes:
        if attribute.name == name:
            return attribute.kind
    known = ", ".join(attribute.name for attribute in manifest.attributes) or "none"
    raise UnknownAttribute(
        f"{field}.attribute: expected one of the attributes {known}, got {name[:80]!r}",
        index=manifest.index,
        attribute=name[:80],
        known=known,
    )


def _value(kind: AttributeKind, equals: pb.Equals, field: str) -> Any:
    expected = _MEMBERS[kind]
    got = equals.value.WhichOneof("kind")
    if got != expected:
        raise WrongAttributeType(
            f"{field}.value: expected {expected} for the attribute {equals.attribute} "
            f"({kind}), got {got or 'no value'}",
            attribute=equals.attribute,
            expected=expected,
            got=got or "no value",
        )
    value = getattr(equals.value, expected)
    return _micros(value, field) if kind == "timestamp" else value


def _micros(moment: Timestamp, field: str) -> int:
    try:
        return int(moment.ToMicroseconds())
    except ValueError as error:
        raise InvalidField(f"{field}.value", "a moment from year 1 to 9999", error) from None
