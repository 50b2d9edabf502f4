from collections.abc import Callable
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import StringValue
from google.rpc import error_details_pb2, status_pb2
from lookalike.v1.error_reason_pb2 import ErrorReason

from lookalike_kit import calls
from lookalike_kit.errors import InvalidField, ServiceError

HELLO = StringValue(value="hello")


class UnknownThing(ServiceError):
    status = grpc.StatusCode.NOT_FOUND
    reason = ErrorReason.ERROR_REASON_UNKNOWN_ITEM


class Rotten(ServiceError):
    """INTERNAL by its class."""


def failing(error: Exception) -> Callable[..., StringValue]:
    def answer(_: StringValue, __: grpc.ServicerContext) -> StringValue:
        raise error

    return answer


def refused(served: Any, **options: Any) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as error:
        served.say(HELLO, timeout=20, **options)
    return error.value


def detail(error: Any, kind: type[Message]) -> Any:
    """The detail of this kind, or None."""
    trailers = dict(error.trailing_metadata())
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    found = kind()
    return found if any(packed.Unpack(found) for packed in status.details) else None


def test_an_error_says_its_status_message_reason_and_metadata(serve):
    error = refused(serve(failing(UnknownThing("item: expected one of 3, got x", item_id="x"))))

    assert error.code() is grpc.StatusCode.NOT_FOUND
    assert error.details() == "item: expected one of 3, got x"
    info = detail(error, error_details_pb2.ErrorInfo)
    assert (info.domain, info.reason, dict(info.metadata)) == (
        "lookalike",
        "UNKNOWN_ITEM",
        {"item_id": "x"},
    )
    assert detail(error, error_details_pb2.BadRequest) is None
    assert detail(error, error_details_pb2.RetryInfo) is None


def test_a_field_at_fault_is_named_in_bad_request(serve):
    error = refused(serve(failing(InvalidField("k", "1 to 1000", "0"))))

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error.details() == "k: expected 1 to 1000, got 0"
    [violation] = detail(error, error_details_pb2.BadRequest).field_violations
    assert (violation.field, violation.description) == ("k", "k: expected 1 to 1000, got 0")
    assert detail(error, error_details_pb2.ErrorInfo).metadata["field"] == "k"


@pytest.mark.parametrize("letter", ["x", "\u00e4", "\U0001f457"])
def test_a_long_message_is_cut_so_that_its_status_arrives(serve, letter):
    error = refused(
        serve(failing(UnknownThing(f"item: got {letter * 9999}", field="item", known=letter * 999)))
    )

    assert error.code() is grpc.StatusCode.NOT_FOUND
    assert error.details().startswith(f"item: got {letter}")
    assert error.details().endswith(f"{letter}...")
    assert detail(error, error_details_pb2.ErrorInfo).reason == "UNKNOWN_ITEM"


def test_the_status_in_the_details_is_the_status_of_the_call(serve):
    error = refused(serve(failing(InvalidField("k", "1 to 1000", "0"))))

    trailers = dict(error.trailing_metadata())
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    assert (status.code, status.message) == (error.code().value[0], error.details())


def test_an_unknown_exception_is_internal_and_keeps_its_text_to_the_log(serve, lines):
    error = refused(serve(failing(ValueError("password is swordfish"))))

    assert error.code() is grpc.StatusCode.INTERNAL
    assert "swordfish" not in error.details()
    info = detail(error, error_details_pb2.ErrorInfo)
    request_id = dict(error.trailing_metadata())["x-request-id"]
    assert (info.reason, dict(info.metadata)) == ("INTERNAL", {"request_id": request_id})
    [fault] = [line for line in lines() if line["event"] == "fault"]
    assert fault["level"] == "error"
    assert fault["request_id"] == request_id
    assert "ValueError: password is swordfish" in fault["traceback"]


def test_an_internal_error_of_ours_is_logged_too(serve, lines):
    refused(serve(failing(Rotten("disk: expected readable, got rotten"))))

    assert [(line["level"], line["event"]) for line in lines()] == [
        ("error", "fault"),
        ("info", "call"),
    ]


def test_an_abort_by_the_handler_stands(serve):
    def answer(_: StringValue, context: grpc.ServicerContext) -> StringValue:
        context.abort(grpc.StatusCode.OUT_OF_RANGE, "past the end")

    error = refused(serve(answer))

    assert (error.code(), error.details()) == (grpc.StatusCode.OUT_OF_RANGE, "past the end")
    assert dict(error.trailing_metadata())["x-request-id"]


def test_a_method_without_code_is_unimplemented(serve):
    def answer(_: StringValue, context: grpc.ServicerContext) -> StringValue:
        context.set_code(grpc.StatusCode.UNIMPLEMENTED)
        context.set_details("Method not implemented!")
        raise NotImplementedError("Method not implemented!")

    assert refused(serve(answer)).code() is grpc.StatusCode.UNIMPLEMENTED


def test_the_callers_request_id_comes_back_and_reaches_the_handler(serve):
    served = serve(lambda _, __: StringValue(value=calls.request_id()))

    answer, call = served.say.with_call(HELLO, metadata=(("x-request-id", "order-17"),))

    assert answer.value == "order-17"
    assert dict(call.trailing_metadata())["x-request-id"] == "order-17"


@pytest.mark.parametrize("given", ["has spaces", 'quote"', "x" * 129, ""])
def test_a_request_id_that_does_not_fit_a_log_is_replaced(serve, given):
    served = serve(lambda _, __: StringValue(value=calls.request_id()))

    answer = served.say(HELLO, metadata=(("x-request-id", given),))

    assert answer.value not in ("", given)


def test_a_refused_call_names_its_request_in_the_details(serve):
    error = refused(serve(failing(UnknownThing("no"))), metadata=(("x-request-id", "order-17"),))

    assert detail(error, error_details_pb2.RequestInfo).request_id == "order-17"
