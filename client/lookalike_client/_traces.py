"""Spans of calls, by the application's own OpenTelemetry; loaded for clients that trace alone."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import grpc
from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_W3C = TraceContextTextMapPropagator()


def span(name: str) -> AbstractContextManager[object]:
    """Around the RPCs that one thing asked for takes."""
    return _tracer().start_as_current_span(f"lookalike.{name}")


class RpcSpans(grpc.UnaryUnaryClientInterceptor):
    """A span each RPC, its retries included, which goes with it as `traceparent`."""

    def intercept_unary_unary(
        self,
        continuation: Callable[[grpc.ClientCallDetails, Any], Any],
        client_call_details: grpc.ClientCallDetails,
        request: Any,
    ) -> Any:
        service, _, method = client_call_details.method.lstrip("/").partition("/")
        metadata = client_call_details.metadata or ()
        attributes = {
            "rpc.system": "grpc",
            "rpc.service": service,
            "rpc.method": method,
            "lookalike.request_id": dict(metadata).get("x-request-id", ""),
        }
        with _tracer().start_as_current_span(
            f"{service}/{method}", kind=trace.SpanKind.CLIENT, attributes=attributes
        ) as span:
            headers: dict[str, str] = {}
            _W3C.inject(headers)
            told = client_call_details._replace(  # type: ignore[attr-defined]
                metadata=(*metadata, *headers.items())
            )
            call = continuation(told, request)
            code = call.code()  # waits for the answer
            span.set_attribute("rpc.grpc.status_code", code.value[0])
            if code is not grpc.StatusCode.OK:
                span.set_status(trace.StatusCode.ERROR, code.name)
            return call


def _tracer() -> trace.Tracer:
    # Each time anew: an application may set its provider after it made its client.
    return trace.get_tracer("lookalike_client")
