from datetime import UTC, datetime

import pytest
from lookalike.search.v1.search_pb2 import Value
from lookalike_client._values import from_value, to_value


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("red", "string_value"),
        (3, "int64_value"),
        (2.5, "double_value"),
        (True, "bool_value"),
        (datetime(2026, 11, 3, 12, 30, 0, 250, UTC), "timestamp_value"),
        (("midi", "silk"), "strings_value"),
        ((), "strings_value"),
    ],
)
def test_a_value_survives_the_contract(value, kind):
    message = to_value(value)

    assert message.WhichOneof("kind") == kind
    assert from_value(message) == value
    assert type(from_value(message)) is type(value)


def test_a_missing_value_is_none():
    assert from_value(Value()) is None


def test_a_moment_without_its_time_zone_is_refused():
    with pytest.raises(ValueError, match="time zone"):
        to_value(datetime(2026, 11, 3))


def test_a_value_of_no_attributes_type_is_refused():
    with pytest.raises(TypeError, match=r"got \['red'\]"):
        to_value(["red"])
