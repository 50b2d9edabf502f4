"""Spans by OpenTelemetry: one a call, its stages below it, and work that many calls share."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any

import grpc
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from lookalike_kit import calls
from lookalike_kit.calls import Facts, Trace
from lookalike_kit.interceptors import AnswerInterceptor, Behaviour, outcome

CLOSE_SECONDS = 2.0
# By OpenTelemetry's conventions a server's span is an error for these alone: the others are the
# caller's.
_FAULTS = frozenset(
    {
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)
_W3C = TraceContextTextMapPropagator()


def exported_spans(service: str) -> Spans:
    """By OTLP over gRPC; OTEL_* of the environment say where to, and which calls are sampled."""
    names = {
        "service.name": os.environ.get("OTEL_SERVICE_NAME", f"lookalike-{service}"),
        "service.instance.id": socket.gethostname(),
    }
    provider = TracerProvider(resource=Resource.create(names), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Spans(provider)


class Spans:
    """Of one process. Only calls that are sampled cost more than a look at their metadata."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("lookalike")
        self.interceptor: grpc.ServerInterceptor = _SpanInterceptor(self._tracer)

    def work(self, name: str, seconds: float, calls: Iterable[Trace], facts: Facts) -> None:
        contexts = [each.context for each in calls if isinstance(each, _CallSpan)]
        if not contexts:
            return
        ended = time.time_ns()
        # Below the first call it is sampled as that one is, and seen without following a link.
        parent = trace.set_span_in_context(trace.NonRecordingSpan(contexts[0]))
        span = self._tracer.start_span(
            name,
            parent,
            links=[trace.Link(context) for context in contexts],
            start_time=ended - int(seconds * 1e9),
            attributes=dict(_attributes(facts)),
        )
        span.end(ended)

    def close(self) -> None:
        # An exporter whose collector is gone tries again for as long as a minute.
        closing = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        closing.start()
        closing.join(CLOSE_SECONDS)


class _SpanInterceptor(AnswerInterceptor):
    def __init__(self, tracer: trace.Tracer) -> None:
        self._tracer = tracer

    def around(self, call: grpc.HandlerCallDetails, behaviour: Behaviour) -> Behaviour:
        arrived = time.time_ns()

        def traced(request: Any, context: grpc.ServicerContext) -> Any:
            span = self._begin(call, arrived)
            if span.is_recording():
                calls.traced(_CallSpan(self._tracer, span, arrived))
            try:
                return behaviour(request, context)
            finally:
                calls.traced(None)
                _end(span, outcome(context))

        return traced

    def _begin(self, call: grpc.HandlerCallDetails, arrived: int) -> trace.Span:
        given = {key: text for key, text in call.invocation_metadata if isinstance(text, str)}
        service, _, method = call.method.lstrip("/").partition("/")
        return self._tracer.start_span(
            f"{service}/{method}",
            _W3C.extract(given),
            trace.SpanKind.SERVER,
            {"rpc.system": "grpc", "rpc.service": service, "rpc.method": method},
            start_time=arrived,
        )


class _CallSpan:
    """What the code below a handler knows of its call's span."""

    def __init__(self, tracer: trace.Tracer, span: trace.Span, began: int) -> None:
        self._tracer = tracer
        self._span = span
        self._began = began
        self.context = span.get_span_context()
        self.trace_id = trace.format_trace_id(self.context.trace_id)

    def tell(self, facts: Facts) -> None:
        self._span.set_attributes(dict(_attributes(facts)))
        self._span.set_attribute("lookalike.request_id", calls.request_id())
        parent = trace.set_span_in_context(self._span)
        # How long each stage took is known, and their order; a loop over two of them is laid out
        # as if each had run once.
        began = self._began
        for stage, micros in facts.get("stage_micros", {}).items():
            span = self._tracer.start_span(stage, parent, start_time=began)
            began += micros * 1000
            span.end(began)


def _end(span: trace.Span, code: grpc.StatusCode) -> None:
    span.set_attribute("rpc.grpc.status_code", code.value[0])
    if code in _FAULTS:
        span.set_status(trace.StatusCode.ERROR, code.name)
    span.end()


def _attributes(facts: Facts, prefix: str = "lookalike") -> Iterator[tuple[str, Any]]:
    for name, fact in facts.items():
        if isinstance(fact, dict):
            if name != "stage_micros":
                yield from _attributes(fact, f"{prefix}.{name}")
        else:
            yield f"{prefix}.{name}", fact
