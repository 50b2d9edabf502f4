import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from lookalike.embedder.v1 import embedder_pb2
from lookalike.search.v1 import search_pb2
from lookalike_client import Client, DeadlineExceeded, Overloaded, Unavailable, service_config
from lookalike_client.testing import FakeServices, Refusal

REFUSED = {
    "OVERLOADED": Refusal(reason="OVERLOADED", retry_after_seconds=0.01),
    "SHUTTING_DOWN": Refusal(reason="SHUTTING_DOWN"),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_a_passing_refusal_is_retried_out_of_sight(client, services, reason):
    services.search.refusals.extend([REFUSED[reason]] * 2)

    assert client.search_item("dresses", "d-1").hits
    assert len(services.search.requests) == 3


def test_the_fourth_refusal_is_the_callers(client, services):
    services.search.refusals.extend([REFUSED["SHUTTING_DOWN"]] * 9)

    with pytest.raises(Unavailable) as error:
        client.search_item("dresses", "d-1")

    assert error.value.reason == "SHUTTING_DOWN"
    assert len(services.search.requests) == 4


def test_retries_end_with_the_time_allowed(client, services):
    services.embedder.refusals.append(Refusal(reason="OVERLOADED", retry_after_seconds=60))

    with pytest.raises(DeadlineExceeded):
        client.similar("dresses", b"one", deadline_seconds=0.2)

    assert len(services.embedder.requests) == 1
    assert services.search.requests == []


def test_a_photo_larger_than_grpcs_own_retry_buffer_is_retried(client, services):
    services.embedder.refusals.append(REFUSED["SHUTTING_DOWN"])

    client.embed([bytes(3 << 20)])

    assert len(services.embedder.requests) == 2


def test_a_fault_of_the_service_is_not_retried(client, services):
    services.search.refusals.append(Refusal(reason="INTERNAL"))

    with pytest.raises(Exception, match="refused by the test"):
        client.search_item("dresses", "d-1")

    assert len(services.search.requests) == 1


def test_a_service_that_keeps_refusing_is_not_flooded_with_retries(client, services):
    services.search.refusals.extend([REFUSED["OVERLOADED"]] * 1000)
    for _ in range(100):
        with pytest.raises(Overloaded):
            client.search_item("dresses", "d-1")

    # 250 tokens: retries stop at half of them. 4 attempts each would be 400.
    assert len(services.search.requests) < 100 + 125


def test_as_many_calls_are_retried_as_a_replica_may_take_along_when_it_dies(client, services):
    for _ in range(50):  # a connection carries 100 calls
        services.search.refusals.extend([REFUSED["OVERLOADED"]] * 2)
        assert client.search_item("dresses", "d-1").hits


def test_calls_go_round_all_replicas():
    with ExitStack() as stack:
        replicas = [stack.enter_context(FakeServices()) for _ in range(3)]
        target = "ipv4:" + ",".join(replica.search_address for replica in replicas)
        client = stack.enter_context(Client(search=target, deadline_seconds=10))
        while min(len(replica.search.requests) for replica in replicas) < 5:
            client.search_batch("dresses", [])


def test_a_dead_replica_is_out_of_sight():
    with ExitStack() as stack:
        alive, dying = (stack.enter_context(FakeServices()) for _ in range(2))
        target = f"ipv4:{alive.search_address},{dying.search_address}"
        client = stack.enter_context(Client(search=target, deadline_seconds=10))
        with ThreadPoolExecutor(4) as pool:
            calls = [pool.submit(client.search_batch, "dresses", []) for _ in range(200)]
            dying.__exit__(None, None, None)
            for call in calls:
                call.result()


def test_bulk_waits_for_a_service_that_is_not_there_yet():
    with FakeServices() as later, ThreadPoolExecutor(1) as pool:
        address = later.embedder_address
        later.__exit__(None, None, None)
        with Client(embedder=address) as client:
            waiting = pool.submit(client.embed, [b"one"], bulk=True, deadline_seconds=0.2)

            assert waiting.exception().status.name == "DEADLINE_EXCEEDED"


def test_the_service_config_names_only_methods_that_exist():
    services = {
        service.full_name: set(service.methods_by_name)
        for module in (embedder_pb2, search_pb2)
        for service in module.DESCRIPTOR.services_by_name.values()
    }
    config = json.loads(service_config())

    for method in config["methodConfig"]:
        for name in method["name"]:
            assert name["service"] in services
            assert "method" not in name or name["method"] in services[name["service"]]
            assert method["retryPolicy"]["maxAttempts"] <= 5  # gRPC's own limit
