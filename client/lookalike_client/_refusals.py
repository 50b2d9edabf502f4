"""How the fakes refuse a call: the statuses, details and trailers that the services send."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NoReturn

import grpc
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from lookalike.v1 import error_reason_pb2

Context = Any  # grpc.ServicerContext, which its types want to know as both threaded and asyncio


@dataclasses.dataclass(kw_only=True, eq=False)
class Refusal(Exception):
    """What a fake answers instead. reason: an ErrorReason's name without its prefix."""

    reason: str
    message: str = "refused by the test"
    field: str = ""
    metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)
    retry_after_seconds: float | None = None

    @property
    def status(self) -> grpc.StatusCode:
        value = error_reason_pb2.ErrorReason.DESCRIPTOR.values_by_name[
            f"ERROR_REASON_{self.reason}"
        ]
        return grpc.StatusCode[value.GetOptions().Extensions[error_reason_pb2.advice].status]

    def abort(self, context: Context) -> NoReturn:
        status = status_pb2.Status(
            code=self.status.value[0],
            message=self.message,
            details=[_packed(detail) for detail in self._details()],
        )
        trailers = [("grpc-status-details-bin", status.SerializeToString())]
        if self.retry_after_seconds is not None:
            pushback = f"{self.retry_after_seconds * 1000:.0f}"
            trailers.append(("grpc-retry-pushback-ms", pushback))
        context.set_trailing_metadata(tuple(trailers))
        context.abort(self.status, self.message)
        raise AssertionError  # abort raises

    def _details(self) -> list[Message]:
        details: list[Message] = [
            error_details_pb2.ErrorInfo(
                reason=self.reason, domain="lookalike", metadata=dict(self.metadata)
            )
        ]
        if self.field:
            violation = error_details_pb2.BadRequest.FieldViolation(
                field=self.field, description=self.message
            )
            details.append(error_details_pb2.BadRequest(field_violations=[violation]))
        if self.retry_after_seconds is not None:
            delay = Duration(nanos=round(self.retry_after_seconds * 1e9) % 10**9)
            delay.seconds = int(self.retry_after_seconds)
            details.append(error_details_pb2.RetryInfo(retry_delay=delay))
        return details


def _packed(detail: Message) -> Packed:
    packed = Packed()
    packed.Pack(detail)
    return packed
