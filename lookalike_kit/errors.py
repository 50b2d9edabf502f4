"""Errors that know their status. Raise one anywhere below a handler; one interceptor says it.

A package's own errors are subclasses beside the code that raises them:

    class UnknownThing(ServiceError):
        status = grpc.StatusCode.NOT_FOUND
        reason = ErrorReason.ERROR_REASON_UNKNOWN_THING
"""

import random
from typing import ClassVar

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from lookalike.v1.error_reason_pb2 import ErrorReason

DOMAIN = "lookalike"
# Clients take 8 KiB of trailers, where the message stands three times: with more, a caller would
# see RESOURCE_EXHAUSTED in place of the status.
MAX_MESSAGE_BYTES = 1024
MAX_METADATA_BYTES = 256
# When to come back after a refusal. Spread, or all that were refused together come back together.
RETRY_AFTER_SECONDS = (0.05, 0.25)


class ServiceError(Exception):
    """A call, or a part of one, that is refused for a reason the caller can act on.

    `field` names the field at fault by its path in the request; `retry_after_seconds` says when
    the same call may succeed; the rest is ErrorInfo.metadata, as the reason's advice lists it.
    """

    status: ClassVar[grpc.StatusCode] = grpc.StatusCode.INTERNAL
    reason: ClassVar["ErrorReason.ValueType"] = ErrorReason.ERROR_REASON_INTERNAL

    def __init__(
        self,
        message: str,
        *,
        field: str = "",
        retry_after_seconds: float | None = None,
        **metadata: str,
    ) -> None:
        self.message = _shortened(message, MAX_MESSAGE_BYTES)
        super().__init__(self.message)
        self.field = field
        self.retry_after_seconds = retry_after_seconds
        named = {"field": field, **metadata} if field else metadata
        self.metadata = {key: _shortened(text, MAX_METADATA_BYTES) for key, text in named.items()}


class InvalidField(ServiceError):
    """A field is malformed, missing or out of range: InvalidField("k", "1 to 1000", "0")."""

    status = grpc.StatusCode.INVALID_ARGUMENT
    reason = ErrorReason.ERROR_REASON_INVALID_FIELD

    def __init__(self, field: str, expected: str, got: object) -> None:
        super().__init__(f"{field}: expected {expected}, got {got}", field=field)


class Overloaded(ServiceError):
    """As many calls as can be finished are already here."""

    status = grpc.StatusCode.RESOURCE_EXHAUSTED
    reason = ErrorReason.ERROR_REASON_OVERLOADED


class Unauthenticated(ServiceError):
    """The call comes without a token that is known. got: what came in its place."""

    status = grpc.StatusCode.UNAUTHENTICATED
    reason = ErrorReason.ERROR_REASON_UNAUTHENTICATED

    def __init__(self, got: str) -> None:
        super().__init__(f"authorization: expected Bearer and a known token, got {got}")


class NotAllowed(ServiceError):
    """The caller is known, and may not make this call."""

    status = grpc.StatusCode.PERMISSION_DENIED
    reason = ErrorReason.ERROR_REASON_NOT_ALLOWED

    def __init__(self, caller: str) -> None:
        super().__init__(f"caller: expected one of ADMIN_CALLERS, got {caller}", caller=caller)


class TooManyCalls(ServiceError):
    """The caller has as many calls here as one caller may have."""

    status = grpc.StatusCode.RESOURCE_EXHAUSTED
    reason = ErrorReason.ERROR_REASON_TOO_MANY_CALLS

    def __init__(self, most: int) -> None:
        super().__init__(
            f"calls of one caller at once: expected at most {most}, got more",
            retry_after_seconds=random.uniform(*RETRY_AFTER_SECONDS),
            limit=str(most),
        )


class ShuttingDown(ServiceError):
    """This process is stopping; another takes the call."""

    status = grpc.StatusCode.UNAVAILABLE
    reason = ErrorReason.ERROR_REASON_SHUTTING_DOWN


class CallerGone(ServiceError):
    """The caller cancelled, died, or its deadline passed; nobody hears this."""

    status = grpc.StatusCode.CANCELLED
    reason = ErrorReason.ERROR_REASON_UNSPECIFIED


class Expired(CallerGone):
    """The call's time passed here first."""

    status = grpc.StatusCode.DEADLINE_EXCEEDED


class Fault(ServiceError):
    """Ours, not the caller's. The text is constant; the log has the rest under the request id."""

    def __init__(self, request_id: str) -> None:
        super().__init__("internal error; the log has it under request_id", request_id=request_id)


def reason_name(reason: "ErrorReason.ValueType") -> str:
    """ "INVALID_FIELD" of ERROR_REASON_INVALID_FIELD: what travels in ErrorInfo.reason."""
    return ErrorReason.Name(reason).removeprefix("ERROR_REASON_")


def trailers(error: ServiceError, request_id: str) -> tuple[tuple[str, str | bytes], ...]:
    """The trailing metadata that carries the details of `error` in google.rpc's form."""
    status = status_pb2.Status(
        code=error.status.value[0],
        message=error.message,
        details=[_packed(detail) for detail in _details(error, request_id)],
    )
    found: tuple[tuple[str, str | bytes], ...] = (
        ("x-request-id", request_id),
        ("grpc-status-details-bin", status.SerializeToString()),
    )
    if error.retry_after_seconds is None:
        return found
    # Clients ignore RetryInfo; this trailer is what moves their retries.
    return (*found, ("grpc-retry-pushback-ms", str(round(error.retry_after_seconds * 1000))))


def _shortened(text: str, most: int) -> str:
    encoded = text.encode(errors="replace")
    if len(encoded) <= most:
        return text
    return encoded[: most - 3].decode(errors="ignore") + "..."


def _details(error: ServiceError, request_id: str) -> list[Message]:
    details: list[Message] = [
        error_details_pb2.ErrorInfo(
            reason=reason_name(error.reason), domain=DOMAIN, metadata=error.metadata
        ),
        error_details_pb2.RequestInfo(request_id=request_id),
    ]
    if error.field:
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=error.field, description=error.message
        )
        details.append(error_details_pb2.BadRequest(field_violations=[violation]))
    if error.retry_after_seconds is not None:
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(round(error.retry_after_seconds * 1000))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    return details


def _packed(detail: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(detail)
    return packed
