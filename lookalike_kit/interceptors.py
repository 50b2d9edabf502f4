"""What happens around every call: its request id, its status, its line in the log."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NoReturn, TypeAlias

import grpc

from lookalike_kit import calls, logs
from lookalike_kit.call_log import CallLog
from lookalike_kit.errors import Fault, ServiceError, reason_name, trailers

Behaviour = Callable[[Any, grpc.ServicerContext], Any]
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Continuation: TypeAlias = "Callable[[grpc.HandlerCallDetails], Handler | None]"

log = logs.get(__name__)


class AnswerInterceptor(grpc.ServerInterceptor):
    """Wraps what answers with one message; streams of answers (health's Watch, reflection) pass."""

    def around(self, call: grpc.HandlerCallDetails, behaviour: Behaviour) -> Behaviour:
        """What to run in place of `behaviour` for this call."""
        raise NotImplementedError

    def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler | None:
        handler = continuation(handler_call_details)
        if handler is None or handler.response_streaming:
            return handler
        return answered_by(handler, lambda inner: self.around(handler_call_details, inner))


class StatusInterceptor(AnswerInterceptor):
    """Gives the call its id, and turns what a handler raises into a status with google.rpc details.

    A ServiceError says its own status. Anything else is INTERNAL with a constant text and a line in
    the log. A status that the handler set itself, as context.abort does, stands.
    """

    def __init__(self, call_log: CallLog) -> None:
        self._call_log = call_log

    def around(self, call: grpc.HandlerCallDetails, behaviour: Behaviour) -> Behaviour:
        arrived = time.perf_counter()

        def told(request: Any, context: grpc.ServicerContext) -> Any:
            request_id = calls.begin(call.invocation_metadata, context.is_active)
            context.set_trailing_metadata(((calls.REQUEST_ID, request_id),))
            try:
                return behaviour(request, context)
            except Exception as error:  # noqa: BLE001 - the one place that says statuses
                try:
                    _say(error, context, request_id, call.method)
                finally:
                    # A frame of its own may know the error, as a refusal's does: a cycle, which
                    # keeps the call until Python looks for some. gRPC counts such calls: with 100
                    # of them it refuses all that come on their connection.
                    error.__traceback__ = None
            finally:
                seconds, code = time.perf_counter() - arrived, outcome(context).name
                self._call_log.ended(call.method, call.invocation_metadata, code, seconds)
                calls.end()

        return told


def answered_by(handler: Handler, around: Callable[[Behaviour], Behaviour]) -> Handler:
    """`handler`, which answers with one message, with something around its behaviour."""
    inner = handler.stream_unary if handler.request_streaming else handler.unary_unary
    assert inner is not None  # noqa: S101 - a handler has the behaviour of its arity
    outer = around(inner)
    # A refusal names the thread that it runs on; that must survive the wrapping.
    pool = getattr(inner, "experimental_thread_pool", None)
    outer.experimental_thread_pool = pool  # type: ignore[attr-defined]
    made = (
        grpc.stream_unary_rpc_method_handler
        if handler.request_streaming
        else grpc.unary_unary_rpc_method_handler
    )
    return made(outer, handler.request_deserializer, handler.response_serializer)


def status_of(context: grpc.ServicerContext) -> grpc.StatusCode:
    """The status set so far; OK if none."""
    code: grpc.StatusCode | None = context.code()  # type: ignore[attr-defined]
    return code or grpc.StatusCode.OK


def outcome(context: grpc.ServicerContext) -> grpc.StatusCode:
    """The status that the caller saw: an answer after the deadline is none."""
    code = status_of(context)
    if context.is_active():
        return code
    late = context.time_remaining() == 0
    return grpc.StatusCode.DEADLINE_EXCEEDED if late else grpc.StatusCode.CANCELLED


def _say(error: Exception, context: grpc.ServicerContext, request_id: str, method: str) -> NoReturn:
    if isinstance(error, ServiceError):
        if error.status is grpc.StatusCode.INTERNAL:
            log.exception("fault", method=method)
        _abort(error, context, request_id)
    if (code := status_of(context)) is not grpc.StatusCode.OK:
        context.abort(code, (context.details() or b"").decode())  # type: ignore[attr-defined]
    log.exception("fault", method=method)
    _abort(Fault(request_id), context, request_id)


def _abort(error: ServiceError, context: grpc.ServicerContext, request_id: str) -> NoReturn:
    at_fault = {"field": error.field} if error.field else {}
    calls.tell(lambda: {"reason": reason_name(error.reason), **at_fault})
    context.set_trailing_metadata(trailers(error, request_id))
    context.abort(error.status, error.message)
