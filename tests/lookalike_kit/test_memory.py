from prometheus_client import CollectorRegistry

from lookalike_kit.memory import MemoryGauges, available_memory_bytes, memory


def test_a_process_knows_how_much_memory_it_may_still_take():
    found = memory()

    assert found is not None
    assert 0 < found.available < found.limit
    assert available_memory_bytes() is not None


def test_both_numbers_are_read_when_they_are_scraped():
    registry = CollectorRegistry()
    registry.register(MemoryGauges())

    available = registry.get_sample_value("lookalike_memory_available_bytes")
    limit = registry.get_sample_value("lookalike_memory_limit_bytes")

    assert available is not None
    assert limit is not None
    assert 0 < available < limit
