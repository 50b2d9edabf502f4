"""Conditions on hits beyond equality, to be given as `filters` to every search.

    from lookalike_client import filters

    client.similar(
        "dresses",
        photo,
        where={"colour": "red"},
        filters=[filters.between("price", at_most=50.0), filters.none_of(filters.missing("size"))],
    )

Each is true or false of an item. A comparison with a missing attribute is false, so `none_of` of it
is true. Values have the attribute's type: 50.0, not 50, for a real number.
"""

from typing import TypeAlias

from lookalike.search.v1 import search_pb2

from lookalike_client._values import AttributeValue, to_value

__all__ = ["Filter", "all_of", "any_of", "between", "equal", "missing", "none_of", "one_of"]

Filter: TypeAlias = search_pb2.Filter


def equal(attribute: str, value: AttributeValue) -> Filter:
    """The attribute is the value; a list of texts has it among its texts."""
    return Filter(equals=search_pb2.Equals(attribute=attribute, value=to_value(value)))


def one_of(attribute: str, *values: AttributeValue) -> Filter:
    """The attribute is one of 1 to 256 values."""
    return Filter(
        is_in=search_pb2.In(attribute=attribute, values=[to_value(value) for value in values])
    )


def between(
    attribute: str,
    *,
    at_least: AttributeValue | None = None,
    at_most: AttributeValue | None = None,
    above: AttributeValue | None = None,
    below: AttributeValue | None = None,
) -> Filter:
    """The attribute, a text, number or moment, lies within the bounds; at most one a side."""
    if (at_least is not None and above is not None) or (at_most is not None and below is not None):
        raise ValueError(f"{attribute}: expected one bound a side, got two")
    return Filter(
        range=search_pb2.Range(
            attribute=attribute,
            at_least=_bound(at_least),
            at_most=_bound(at_most),
            greater_than=_bound(above),
            less_than=_bound(below),
        )
    )


def missing(attribute: str) -> Filter:
    """The item does not have the attribute."""
    return Filter(missing=search_pb2.Missing(attribute=attribute))


def all_of(*conditions: Filter) -> Filter:
    """Every one of at least one condition is true."""
    return Filter(all_of=search_pb2.FilterList(filters=conditions))


def any_of(*conditions: Filter) -> Filter:
    """At least one of the conditions is true."""
    return Filter(any_of=search_pb2.FilterList(filters=conditions))


def none_of(*conditions: Filter) -> Filter:
    """Not one of at least one condition is true."""
    return Filter(none_of=search_pb2.FilterList(filters=conditions))


def _bound(value: AttributeValue | None) -> search_pb2.Value | None:
    return None if value is None else to_value(value)
