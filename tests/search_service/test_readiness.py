"""Who may be called, and from when on."""

import pytest

from search_service.catalog import Catalog
from search_service.readiness import Readiness


@pytest.fixture
def generation(opened, forest_build):
    return opened(forest_build)


def test_a_replica_is_ready_with_the_last_required_index_and_stays_so(generation):
    catalog, told = Catalog(), []
    readiness = Readiness(catalog, ("shoes", "dresses"), lambda: told.append(readiness.is_ready))

    for index, missing in (("coats", ["dresses", "shoes"]), ("dresses", ["shoes"])):
        catalog.promote(index, (generation,))
        readiness.looked(everywhere=True)
        assert (readiness.is_ready, readiness.missing()) == (False, missing)
        assert not readiness.answers
    catalog.promote("shoes", (generation,))
    readiness.looked(everywhere=False)
    readiness.looked(everywhere=True)

    assert readiness.is_ready
    assert readiness.answers
    assert readiness.missing() == []
    assert told == [False]  # once, before it says so itself


def test_without_required_indexes_it_is_ready_after_a_look_at_all(generation):
    catalog = Catalog()
    readiness = Readiness(catalog, (), lambda: None)

    catalog.promote("dresses", (generation,))
    readiness.looked(everywhere=False)
    assert not readiness.is_ready
    readiness.looked(everywhere=True)
    assert readiness.answers


def test_a_replica_of_an_empty_store_is_ready_and_answers_nobody():
    readiness = Readiness(Catalog(), (), lambda: None)
    readiness.looked(everywhere=True)

    assert readiness.is_ready
    assert not readiness.answers
