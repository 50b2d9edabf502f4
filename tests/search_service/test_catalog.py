"""One reference, rebound as a whole."""

import pytest

from search_service.catalog import Catalog
from search_service.errors import IndexNotLoaded, SpaceNotServed, UnknownIndex

SPACE = "a" * 64
OTHER_SPACE = "b" * 64


def test_a_new_catalog_knows_nothing():
    with pytest.raises(UnknownIndex, match="expected one of none, got dresses"):
        Catalog().generations("dresses")


def test_what_was_taken_once_does_not_change(opened, builds):
    catalog = Catalog()
    one, two = opened(builds[0]), opened(builds[1])
    catalog.promote("dresses", (one,))
    taken = catalog.serving

    catalog.promote("dresses", (two,))
    catalog.promote("shoes", (one,))

    assert taken.generations == {"dresses": (one,)}
    assert catalog.serving.generations == {"dresses": (two,), "shoes": (one,)}
    with pytest.raises(TypeError):
        catalog.serving.generations["dresses"] = ()


def test_the_first_space_answers_where_none_is_named(opened, builds, other_build):
    catalog = Catalog()
    first, second = opened(other_build), opened(builds[0])
    catalog.promote("dresses", (first, second))

    assert catalog.current("dresses", None) is first
    assert catalog.current("dresses", SPACE) is second
    with pytest.raises(SpaceNotServed):
        catalog.current("dresses", "c" * 64)


def test_what_is_published_and_not_served_is_on_its_way(opened, builds):
    catalog = Catalog()
    catalog.publish({"dresses": frozenset({SPACE, OTHER_SPACE}), "shoes": frozenset()})
    catalog.promote("dresses", (opened(builds[0]),))

    with pytest.raises(IndexNotLoaded):
        catalog.current("shoes", None)
    with pytest.raises(IndexNotLoaded):
        catalog.current("dresses", OTHER_SPACE)


def test_what_is_served_stays_when_the_store_forgets_it(opened, builds):
    catalog = Catalog()
    generation = opened(builds[0])
    catalog.promote("dresses", (generation,))

    catalog.publish({})

    assert catalog.current("dresses", SPACE) is generation
