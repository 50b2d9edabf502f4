"""One thing a caller asked for: one id and one deadline, however many RPCs it takes."""

import time
import uuid
from dataclasses import dataclass
from typing import TypeVar

import grpc

from lookalike_client._errors import DeadlineExceeded, from_rpc_error

Request = TypeVar("Request")
Reply = TypeVar("Reply")


@dataclass(frozen=True, slots=True)
class Call:
    request_id: str
    ends_at: float
    token: str | None = None

    @classmethod
    def begin(
        cls, deadline_seconds: float, request_id: str | None = None, token: str | None = None
    ) -> "Call":
        return cls(request_id or uuid.uuid4().hex, time.monotonic() + deadline_seconds, token)

    def send(
        self,
        rpc: "grpc.UnaryUnaryMultiCallable[Request, Reply]",
        request: Request,
        *,
        wait_for_ready: bool = False,
    ) -> Reply:
        """Sends, within what is left of the time; raises a LookalikeError.

        wait_for_ready: wait for a replica until the deadline. Without, a call fails as soon as
        every replica has refused the connection and the retries are used up, so that a caller can
        do without in time.
        """
        left = self.ends_at - time.monotonic()
        if left <= 0:
            raise DeadlineExceeded(
                "deadline_seconds: expected time left for the call, got none",
                status=grpc.StatusCode.DEADLINE_EXCEEDED,
                request_id=self.request_id,
            )
        try:
            return rpc(
                request,
                timeout=left,
                metadata=self._metadata(),
                wait_for_ready=wait_for_ready,
            )
        except grpc.RpcError as error:
            raise from_rpc_error(error, self.request_id) from error

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        request_id = ("x-request-id", self.request_id)
        if self.token is None:
            return (request_id,)
        return (request_id, ("authorization", f"Bearer {self.token}"))
