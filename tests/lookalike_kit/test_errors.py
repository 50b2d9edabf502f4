import grpc
from google.rpc import error_details_pb2, status_pb2
from lookalike.v1.error_reason_pb2 import ErrorReason, advice

from lookalike_kit.errors import InvalidField, Overloaded, reason_name, trailers


def test_an_error_can_be_told_without_a_call():
    error = InvalidField("image", "a JPEG, PNG or WebP", "text")

    assert error.reason == ErrorReason.ERROR_REASON_INVALID_FIELD
    assert error.message == str(error) == "image: expected a JPEG, PNG or WebP, got text"


def test_the_status_of_the_kits_errors_is_the_one_the_contract_advises():
    options = ErrorReason.DESCRIPTOR.values_by_number

    for error in (InvalidField("k", "1", "0"), Overloaded("full")):
        advised = options[error.reason].GetOptions().Extensions[advice]
        assert error.status is grpc.StatusCode[advised.status]


def test_a_reason_travels_without_its_prefix():
    assert reason_name(ErrorReason.ERROR_REASON_OVERLOADED) == "OVERLOADED"


def test_when_to_retry_is_said_as_a_detail_and_as_a_trailer():
    sent = dict(trailers(Overloaded("full", retry_after_seconds=0.4), "order-17"))

    status = status_pb2.Status.FromString(sent["grpc-status-details-bin"])
    retry = error_details_pb2.RetryInfo()
    assert any(detail.Unpack(retry) for detail in status.details)
    assert retry.retry_delay.ToMilliseconds() == 400
    assert sent["grpc-retry-pushback-ms"] == "400"
    assert sent["x-request-id"] == "order-17"
