from datetime import UTC, datetime

import pytest
from lookalike_client import InvalidRequest, filters
from lookalike_client.testing import FakeServices, Refusal

MAY, JUNE = datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture
def services():
    with FakeServices(index="dresses") as fakes:
        fakes.add("a", {"a/1": b"one"}, colour="red", price=10.0, added=MAY, tags=("midi", "silk"))
        fakes.add("b", {"b/1": b"two"}, colour="blue", price=20.0, added=JUNE, tags=())
        fakes.add("c", {"c/1": b"three"}, colour="red", price=30.0)
        fakes.add("d", {"d/1": b"one"})
        yield fakes


def found(client, **options):
    return "".join(sorted(hit.item_id for hit in client.similar("dresses", b"one", **options).hits))


RED, CHEAP = filters.equal("colour", "red"), filters.between("price", at_most=20.0)


@pytest.mark.parametrize(
    ("condition", "items"),
    [
        (RED, "ac"),
        (filters.equal("tags", "silk"), "a"),
        (filters.one_of("colour", "blue", "green"), "b"),
        (filters.one_of("tags", "midi", "wool"), "a"),
        (CHEAP, "ab"),
        (filters.between("price", above=10.0, below=30.0), "b"),
        (filters.between("price", at_least=10.0, at_most=30.0), "abc"),
        (filters.between("added", above=MAY), "b"),
        (filters.between("colour", below="c"), "b"),
        (filters.missing("price"), "d"),
        (filters.missing("tags"), "cd"),
        (filters.all_of(RED, CHEAP), "a"),
        (filters.any_of(RED, CHEAP), "abc"),
        (filters.none_of(RED), "bd"),
        (filters.none_of(RED, filters.missing("colour")), "b"),
    ],
)
def test_a_condition_leaves_the_items_of_which_it_is_true(client, condition, items):
    assert found(client, filters=[condition]) == items


def test_conditions_hold_all_together_beside_where(client):
    assert found(client, where={"colour": "red"}, filters=[CHEAP]) == "a"


def test_a_range_has_one_bound_a_side():
    with pytest.raises(ValueError, match="price: expected one bound a side, got two"):
        filters.between("price", above=1.0, at_least=2.0)


def test_what_the_service_refuses_names_the_condition(client, services):
    field = "options.filters[0].range"
    services.search.refusals.append(Refusal(reason="INVALID_FIELD", field=field))

    with pytest.raises(InvalidRequest) as error:
        client.similar("dresses", b"one", filters=[filters.between("price")])

    assert error.value.field == field


def test_the_fake_excludes_caps_collapses_and_spreads(client):
    assert found(client, exclude=["a", "b"]) == "cd"
    assert found(client, minimum_similarity=0.9) == "ad"
    assert found(client, max_per_value=("colour", 1)) == "abd"
    assert found(client, collapse_similarity=1.0) == "abc"
    assert [hit.item_id for hit in client.similar("dresses", b"one", k=2).hits] == ["a", "d"]
    first, second = client.similar("dresses", b"one", k=2, diversity=0.6).hits
    assert first.item_id == "a"
    assert second.item_id in "bc"
