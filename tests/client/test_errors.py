from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from lookalike.embedder.v1.embedder_pb2 import ImageError
from lookalike.embedder.v1.embedder_pb2_grpc import add_EmbedderServiceServicer_to_server
from lookalike_client import (
    Client,
    InvalidRequest,
    LookalikeError,
    NotAllowed,
    NotFound,
    Overloaded,
    RecallNotReached,
    ServiceFault,
    Unavailable,
    WrongSpace,
)
from lookalike_client._errors import from_rpc_error, image_failed
from lookalike_client.testing import FakeEmbedder, Refusal

WHAT_TO_DO = {
    "INVALID_FIELD": InvalidRequest,
    "WRONG_DIMENSION": InvalidRequest,
    "UNKNOWN_INDEX": NotFound,
    "UNKNOWN_ITEM": NotFound,
    "INDEX_NOT_LOADED": Unavailable,
    "SPACE_NOT_SERVED": WrongSpace,
    "RECALL_NOT_REACHED": RecallNotReached,
    "OVERLOADED": Overloaded,
    "DEADLINE_TOO_SHORT": Overloaded,
    "SHUTTING_DOWN": Unavailable,
    "TOO_MANY_CALLS": Overloaded,
    "UNAUTHENTICATED": NotAllowed,
    "NOT_ALLOWED": NotAllowed,
    "INTERNAL": ServiceFault,
}


@pytest.mark.parametrize("reason", WHAT_TO_DO)
def test_each_reason_becomes_what_a_caller_does_about_it(client, services, reason):
    services.search.refusals.extend([Refusal(reason=reason, message="as it is")] * 4)

    with pytest.raises(LookalikeError, match="as it is") as error:
        client.search_item("dresses", "d-1")

    assert type(error.value) is WHAT_TO_DO[reason]
    assert error.value.reason == reason


def test_an_error_carries_everything_the_service_said(client, services):
    refusal = Refusal(
        reason="INVALID_FIELD",
        message="k: expected 1 to 1000, got 0",
        field="options.k",
        metadata={"field": "options.k"},
    )
    services.search.refusals.append(refusal)

    with pytest.raises(InvalidRequest) as error:
        client.search_item("dresses", "d-1", k=0, request_id="order-7")

    assert str(error.value) == "k: expected 1 to 1000, got 0"
    assert error.value.status is grpc.StatusCode.INVALID_ARGUMENT
    assert error.value.field == "options.k"
    assert error.value.metadata == {"field": "options.k"}
    assert error.value.request_id == "order-7"
    assert error.value.retry_after_seconds is None
    assert not error.value.retryable


def test_an_overloaded_service_says_how_long_to_wait(client, services):
    services.search.refusals.extend([Refusal(reason="OVERLOADED", retry_after_seconds=0.05)] * 4)

    with pytest.raises(Overloaded) as error:
        client.search_item("dresses", "d-1")

    assert error.value.retry_after_seconds == pytest.approx(0.05)
    assert error.value.retryable


def test_a_reason_newer_than_the_client_keeps_its_number():
    failed = image_failed(ImageError(reason=9999, message="too blue"), 3, "order-7")

    assert (failed.reason, failed.position) == ("REASON_9999", 3)


def test_a_call_larger_than_the_service_takes_is_the_callers_to_correct():
    small = grpc.server(ThreadPoolExecutor(2), options=[("grpc.max_receive_message_length", 1024)])
    add_EmbedderServiceServicer_to_server(FakeEmbedder("a" * 64, 4), small)
    address = f"127.0.0.1:{small.add_insecure_port('127.0.0.1:0')}"
    small.start()
    with (
        Client(embedder=address, deadline_seconds=20) as client,
        pytest.raises(InvalidRequest, match=r"vs\. 1024") as error,
    ):
        client.embed([bytes(2000)])
    small.stop(None).wait()

    assert not error.value.retryable


class _FromAProxy(grpc.RpcError):
    def code(self):
        return grpc.StatusCode.UNAVAILABLE

    def details(self):
        return "upstream connect error"

    def trailing_metadata(self):
        return (("grpc-status-details-bin", b"\xff not a Status"),)


def test_a_trailer_that_is_not_ours_does_not_hide_the_status():
    error = from_rpc_error(_FromAProxy(), "order-7")

    assert type(error) is Unavailable
    assert (str(error), error.reason) == ("upstream connect error", "")
