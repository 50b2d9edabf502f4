"""A call's span and what is below it, kept in memory."""

import urllib.request

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanKind, StatusCode
from prometheus_client import Histogram

from lookalike_kit import calls
from lookalike_kit.errors import InvalidField
from lookalike_kit.spans import Spans

HELLO = StringValue(value="hello")
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CALLED = {
    "metadata": (("x-request-id", "order-17"), ("traceparent", f"00-{TRACE}-{PARENT}-01")),
    "timeout": 20,
}


@pytest.fixture
def exported():
    return InMemorySpanExporter()


@pytest.fixture
def spans(exported):
    """Only calls whose caller sampled them have spans."""
    provider = TracerProvider(sampler=ParentBased(TraceIdRatioBased(0.0)))
    provider.add_span_processor(SimpleSpanProcessor(exported))
    yield Spans(provider)
    provider.shutdown()


def echo(request: StringValue, _: grpc.ServicerContext) -> StringValue:
    calls.tell(
        lambda: {
            "index": "dresses",
            "options": ["exclude 1"],
            "shortfall": {"fewer_exist": 2},
            "stage_micros": {"filter": 200, "rerank": 100},
        }
    )
    return request


def test_a_call_is_a_span_below_its_callers_with_what_was_told_of_it(serve, spans, exported):
    serve(echo, spans).say(HELLO, **CALLED)

    *stages, span = exported.get_finished_spans()
    assert (span.name, span.kind) == ("test.v1.EchoService/Say", SpanKind.SERVER)
    assert f"{span.context.trace_id:032x}" == TRACE
    assert f"{span.parent.span_id:016x}" == PARENT
    assert (
        dict(span.attributes).items()
        >= {
            "rpc.system": "grpc",
            "rpc.service": "test.v1.EchoService",
            "rpc.method": "Say",
            "rpc.grpc.status_code": 0,
            "lookalike.request_id": "order-17",
            "lookalike.index": "dresses",
            "lookalike.options": ("exclude 1",),
            "lookalike.shortfall.fewer_exist": 2,
        }.items()
    )
    assert [stage.name for stage in stages] == ["admission", "filter", "rerank"]
    assert {stage.parent.span_id for stage in stages} == {span.context.span_id}
    admission, first, second = stages
    assert admission.start_time == span.start_time
    assert (first.end_time - first.start_time, second.start_time) == (200_000, first.end_time)


def test_a_call_that_its_caller_did_not_sample_costs_no_span(serve, spans, exported):
    seen = []

    def answer(request: StringValue, _: grpc.ServicerContext) -> StringValue:
        seen.append(calls.trace())
        return request

    serve(answer, spans).say(HELLO, timeout=20)

    assert seen == [None]
    assert exported.get_finished_spans() == ()


@pytest.mark.parametrize("given", ["", "00-0-0-01", "x" * 1000, f"00-{TRACE}-{PARENT}"])
def test_a_parent_that_is_none_is_passed_over(serve, spans, given):
    served = serve(echo, spans)

    assert served.say(HELLO, metadata=(("traceparent", given),), timeout=20) == HELLO


@pytest.mark.parametrize(
    ("error", "status"), [(InvalidField("k", "1", "0"), StatusCode.UNSET), (ValueError(), "error")]
)
def test_only_the_services_own_faults_are_errors(serve, spans, exported, error, status):
    def answer(_: StringValue, __: grpc.ServicerContext) -> StringValue:
        raise error

    with pytest.raises(grpc.RpcError):
        serve(answer, spans).say(HELLO, **CALLED)

    span = exported.get_finished_spans()[-1]
    assert span.status.status_code is (StatusCode.ERROR if status == "error" else status)
    assert span.attributes["lookalike.reason"] in ("INVALID_FIELD", "INTERNAL")


def test_health_and_admin_calls_have_no_spans(serve, spans, exported):
    served = serve(echo, spans)
    say = served.admin.unary_unary("/test.v1.AdminService/Say")
    say(HELLO.SerializeToString(), **CALLED)

    assert exported.get_finished_spans() == ()


def test_a_line_in_the_log_names_its_trace(serve, spans, lines):
    serve(echo, spans, log_calls_every=1).say(HELLO, **CALLED)

    assert [line["trace_id"] for line in lines()] == [TRACE]


def test_work_for_several_calls_links_to_each_and_stands_below_the_first(serve, spans, exported):
    traced = []

    def answer(request: StringValue, _: grpc.ServicerContext) -> StringValue:
        traced.append(calls.trace())
        return request

    served = serve(answer, spans)
    other = (("traceparent", f"00-{'a' * 32}-{PARENT}-01"),)
    served.say(HELLO, **CALLED)
    served.say(HELLO, metadata=other, timeout=20)
    exported.clear()

    spans.work("batch", 0.5, traced, {"images": 3})
    spans.work("batch", 0.5, [], {"images": 1})

    [span] = exported.get_finished_spans()
    assert (span.name, dict(span.attributes)) == ("batch", {"lookalike.images": 3})
    assert [f"{link.context.trace_id:032x}" for link in span.links] == [TRACE, "a" * 32]
    assert f"{span.context.trace_id:032x}" == TRACE
    assert span.end_time - span.start_time == 500_000_000


def test_a_histogram_keeps_the_trace_of_an_observation(serve, spans):
    served = serve(echo, spans)
    served.say(HELLO, **CALLED)

    url = f"http://{served.addresses.metrics_address}/metrics"
    asked = urllib.request.Request(url, headers={"Accept": "application/openmetrics-text"})
    with urllib.request.urlopen(asked, timeout=20) as answer:
        text = answer.read().decode()
    seconds = [
        line for line in text.splitlines() if line.startswith("grpc_server_handling_seconds_bucket")
    ]
    assert text.endswith("# EOF\n")
    assert [line for line in seconds if f'# {{trace_id="{TRACE}"}}' in line]


def test_outside_a_traced_call_there_is_no_exemplar():
    assert calls.exemplar() is None
    Histogram("seconds", "Text.", registry=None).observe(1.0, calls.exemplar())
