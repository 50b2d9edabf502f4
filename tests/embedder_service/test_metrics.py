from prometheus_client import CollectorRegistry

from embedder_service.metrics import TROUBLES, EmbedderMetrics
from embedder_service.pending import Wait


def test_what_bulk_waits_is_told_apart_from_what_a_user_waits():
    registry = CollectorRegistry()
    metrics = EmbedderMetrics(registry)

    metrics.batch(3, [Wait(bulk=False, seconds=0.01), Wait(bulk=True, seconds=2.0)], 0.02)
    metrics.answered(bulk=True, seconds=2.1)
    metrics.waited_to_decode(False, 0.3)

    def value(name, priority):
        labels = {"priority": priority}
        return registry.get_sample_value(f"lookalike_embedder_{name}", labels)

    assert value("queue_seconds_sum", "online") == 0.01
    assert value("queue_seconds_sum", "bulk") == 2.0
    assert value("decode_wait_seconds_sum", "online") == 0.3
    assert value("decode_wait_seconds_sum", "bulk") == 0.0
    assert (value("call_seconds_count", "online"), value("call_seconds_count", "bulk")) == (0, 1)


def test_trouble_is_counted_from_zero():
    """A counter that appears as it is counted up shows no increase: no alert would see it."""
    registry = CollectorRegistry()
    EmbedderMetrics(registry)

    for kind in TROUBLES:
        name = "lookalike_embedder_device_trouble_total"
        assert registry.get_sample_value(name, {"kind": kind}) == 0
