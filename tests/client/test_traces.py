"""The application's own OpenTelemetry, kept in memory; the services are the client's fakes."""

import pytest
from lookalike_client import Client, NotFound
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode


@pytest.fixture(scope="module")
def provider():
    """A process has one for good."""
    provider = TracerProvider()
    trace.set_tracer_provider(provider)
    return provider


@pytest.fixture
def exported(provider):
    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield exporter
    exporter.shutdown()


@pytest.fixture
def tracing(services):
    with Client(
        embedder=services.embedder_address, search=services.search_address, traces=True
    ) as client:
        yield client


def test_what_takes_two_calls_is_one_trace(tracing, exported):
    tracing.similar("dresses", b"one", request_id="order-17")

    embed, search, whole = exported.get_finished_spans()
    assert [embed.name, search.name, whole.name] == [
        "lookalike.embedder.v1.EmbedderService/Embed",
        "lookalike.search.v1.SearchService/Search",
        "lookalike.similar",
    ]
    assert {embed.parent.span_id, search.parent.span_id} == {whole.context.span_id}
    assert {embed.kind, search.kind} == {SpanKind.CLIENT}
    assert search.attributes["lookalike.request_id"] == "order-17"
    assert search.attributes["rpc.grpc.status_code"] == 0


def test_a_call_goes_below_the_applications_span(tracing, exported):
    with trace.get_tracer("shop").start_as_current_span("page") as page:
        tracing.search_item("dresses", "d-1")

    search, _ = exported.get_finished_spans()
    assert search.parent.span_id == page.get_span_context().span_id


def test_a_call_that_fails_is_an_error_and_raises_as_ever(tracing, exported):
    with pytest.raises(NotFound) as error:
        tracing.search_item("shoes", "d-1")

    [span] = exported.get_finished_spans()
    assert error.value.reason == "UNKNOWN_INDEX"
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "NOT_FOUND")


def test_without_being_asked_to_a_client_makes_no_spans(client, exported):
    client.similar("dresses", b"one")

    assert exported.get_finished_spans() == ()


def test_the_environment_can_ask_for_traces(services, exported):
    environment = {
        "LOOKALIKE_CLIENT_SEARCH": services.search_address,
        "LOOKALIKE_CLIENT_TRACES": "true",
    }
    with Client.from_environment(environment) as client:
        client.search_item("dresses", "d-1")

    assert len(exported.get_finished_spans()) == 1


def test_a_switch_that_is_none_is_refused():
    with pytest.raises(ValueError, match="LOOKALIKE_CLIENT_TRACES: expected true or false"):
        Client.from_environment({"LOOKALIKE_CLIENT_TRACES": "yes"})
