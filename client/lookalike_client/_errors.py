"""What can go wrong, by what a caller does about it; made from gRPC's status and its details."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from lookalike.v1 import error_reason_pb2

_RETRYABLE = frozenset(
    {
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
    }
)


# gRPC itself refuses a message over the receiver's limit, with the status of an overloaded service.
_TOO_LARGE = "message larger than max"


class LookalikeError(Exception):
    """A call that failed. `str(error)` is the service's own sentence.

    status: gRPC's status code.
    reason: the name of an ErrorReason without its prefix, as "UNKNOWN_INDEX"; "" where no
        service spoke.
    metadata: the reason's facts, as {"index": "dresses"}; docs/errors.md lists the keys.
    field: the field of the request that is at fault, or "".
    retryable: whether the same call may succeed later without being changed.
    retry_after_seconds: how long the service asks to wait, or None.
    request_id: what to look for in the service's logs.
    """

    def __init__(
        self,
        message: str,
        *,
        status: grpc.StatusCode,
        reason: str = "",
        metadata: Mapping[str, str] = MappingProxyType({}),
        field: str = "",
        retryable: bool | None = None,
        retry_after_seconds: float | None = None,
        request_id: str = "",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.metadata = metadata
        self.field = field
        self.retryable = _is_retryable(status, reason) if retryable is None else retryable
        self.retry_after_seconds = retry_after_seconds
        self.request_id = request_id


class InvalidRequest(LookalikeError):
    """The call itself is wrong; `field` says where. Correct it."""


class ImageFailed(InvalidRequest):
    """One image could not be embedded; `position` is its place in the call. The others were.

    `embed` returns it in the image's place; `similar` raises it.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: str,
        position: int,
        metadata: Mapping[str, str] = MappingProxyType({}),
        request_id: str = "",
    ) -> None:
        super().__init__(
            message,
            status=grpc.StatusCode.INVALID_ARGUMENT,
            reason=reason,
            metadata=metadata,
            field=f"images[{position}]",
            request_id=request_id,
        )
        self.position = position


class NotFound(LookalikeError):
    """There is no such index or item."""


class WrongSpace(LookalikeError):
    """The vector was made by another model than the index. Embed the image again."""


class RecallNotReached(LookalikeError):
    """The index was never measured to reach the accuracy that a strict call asks for."""


class NotAllowed(LookalikeError):
    """The service does not know the caller, or the call is not for it. Look at the token."""


class Unavailable(LookalikeError):
    """No replica could answer, after gRPC's own retries. Do without, or try later."""


class Overloaded(Unavailable):
    """The service refused what it could not finish. Send less, or wait `retry_after_seconds`."""


class DeadlineExceeded(LookalikeError):
    """The time allowed ran out."""


class ServiceFault(LookalikeError):
    """A fault of the service. Report `request_id` to whoever runs it."""


_BY_STATUS: Mapping[grpc.StatusCode, type[LookalikeError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequest,
    grpc.StatusCode.OUT_OF_RANGE: InvalidRequest,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.UNAUTHENTICATED: NotAllowed,
    grpc.StatusCode.PERMISSION_DENIED: NotAllowed,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.CANCELLED: Unavailable,  # a replica that stopped before it had answered
    grpc.StatusCode.RESOURCE_EXHAUSTED: Overloaded,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
}


# What is FAILED_PRECONDITION is each another matter.
_BY_REASON: Mapping[str, type[LookalikeError]] = {
    "SPACE_NOT_SERVED": WrongSpace,
    "RECALL_NOT_REACHED": RecallNotReached,
}


def from_rpc_error(error: grpc.RpcError, request_id: str) -> LookalikeError:
    """The error a caller sees for what gRPC raised."""
    # grpc raises an object that is RpcError and Call at once; its types do not say so.
    call: Any = error
    status: grpc.StatusCode = call.code()
    details = _details(call.trailing_metadata() or ())
    info = _unpacked(details, error_details_pb2.ErrorInfo())
    retry = _unpacked(details, error_details_pb2.RetryInfo())
    violations = _unpacked(details, error_details_pb2.BadRequest()).field_violations
    said = call.details() or status.name
    if not info.reason and status is grpc.StatusCode.RESOURCE_EXHAUSTED and _TOO_LARGE in said:
        return InvalidRequest(said, status=status, retryable=False, request_id=request_id)
    return _kind(status, info.reason)(
        said,
        status=status,
        reason=info.reason,
        metadata=MappingProxyType(dict(info.metadata)),
        field=violations[0].field if violations else "",
        retry_after_seconds=retry.retry_delay.ToTimedelta().total_seconds() or None,
        request_id=request_id,
    )


def image_failed(image_error: Any, position: int, request_id: str) -> ImageFailed:
    """The error of one image of an Embed call (`image_error`: embedder.v1.ImageError)."""
    return ImageFailed(
        image_error.message,
        reason=_reason_name(image_error.reason),
        position=position,
        metadata=MappingProxyType(dict(image_error.metadata)),
        request_id=request_id,
    )


def _kind(status: grpc.StatusCode, reason: str) -> type[LookalikeError]:
    return _BY_REASON.get(reason) or _BY_STATUS.get(status, ServiceFault)


def _details(trailers: Sequence[tuple[str, str | bytes]]) -> Sequence[Any]:
    packed = next((value for key, value in trailers if key == "grpc-status-details-bin"), b"")
    status = status_pb2.Status()
    try:
        status.MergeFromString(packed)
    except DecodeError:  # a proxy's or another service's trailer: the status code still says enough
        return ()
    details: Sequence[Any] = status.details
    return details


def _unpacked(details: Sequence[Any], message: Any) -> Any:
    """`message`, filled from the detail of its type if there is one."""
    for detail in details:
        if detail.Is(message.DESCRIPTOR):
            detail.Unpack(message)
    return message


def _reason_name(number: int) -> str:
    """A service newer than this client may send a reason that has no name here."""
    value = error_reason_pb2.ErrorReason.DESCRIPTOR.values_by_number.get(number)
    return value.name.removeprefix("ERROR_REASON_") if value else f"REASON_{number}"


def _is_retryable(status: grpc.StatusCode, reason: str) -> bool:
    """By the advice that the contract gives with each reason; by the status where it knows none."""
    values = error_reason_pb2.ErrorReason.DESCRIPTOR.values_by_name
    value = values.get(f"ERROR_REASON_{reason}")
    if value is None:
        return status in _RETRYABLE
    return bool(value.GetOptions().Extensions[error_reason_pb2.advice].retry)
