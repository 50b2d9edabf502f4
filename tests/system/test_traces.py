"""One question's trace, from the client through both services, as a collector gets it by OTLP."""

import io
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pyarrow as pa
import pytest
from lookalike_cli import processes
from lookalike_client import Client
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as otlp
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as otlp_grpc
from opentelemetry.sdk.trace import TracerProvider
from PIL import Image

from search_service.build import BuildOptions, Source, build, publish
from search_service.store import Store

SPACE, DIMENSION = "5" * 64, 512  # the stand-in's
SIX = 6


class Collector(otlp_grpc.TraceServiceServicer):
    """What services send, by their names; a few lines of a collector."""

    def __init__(self):
        self.spans = []
        self._lock = threading.Lock()

    def Export(self, request, context):  # noqa: N802
        with self._lock:
            for each in request.resource_spans:
                names = {one.key: one.value.string_value for one in each.resource.attributes}
                spans = [span for scope in each.scope_spans for span in scope.spans]
                self.spans += [(names["service.name"], span) for span in spans]
        return otlp.ExportTraceServiceResponse()

    def until(self, condition):
        end = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < end, [(service, span.name) for service, span in self.spans]
            time.sleep(0.02)

    def named(self, service, name):
        return [span for its, span in self.spans if (its, span.name) == (service, name)]


@pytest.fixture(scope="module")
def collector():
    servicer = Collector()
    server = grpc.server(ThreadPoolExecutor(4))
    otlp_grpc.add_TraceServiceServicer_to_server(servicer, server)
    servicer.port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield servicer
    server.stop(None)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("traces")
    vectors = np.random.default_rng(0).normal(size=(40, DIMENSION)).astype(np.float32)
    names = [f"i{number:02d}" for number in range(40)]
    photos = pa.table({"photo_id": names, "item_id": names})
    options = BuildOptions(engine="exact", golden_queries=10, threads=1)
    build(Source(vectors, photos, SPACE), folder / "built", options)
    (folder / "store").mkdir()
    publish(Store(folder / "store"), "dresses", folder / "built")
    return folder / "store"


@pytest.fixture(scope="module")
def client(collector, store, tmp_path_factory):
    folder = tmp_path_factory.mktemp("processes")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{collector.port}")
        environment.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        embedder = processes.start(
            "benchmarks.embedder_stand_in",
            "LOOKALIKE_EMBEDDER_",
            {"model": 20, "traces": True, "drain_seconds": 0},
            folder / "embedder.log",
        )
        search = processes.search(
            store,
            folder / "cache",
            log=folder / "search.log",
            required=["dresses"],
            traces=True,
            drain_seconds=0,
        )
    trace.set_tracer_provider(TracerProvider())  # for good; who has one already keeps it
    with (
        embedder,
        search,
        Client(embedder=embedder.address, search=search.address, traces=True) as client,
    ):
        yield client


def photo() -> bytes:
    file = io.BytesIO()
    Image.effect_noise((64, 64), 50).convert("RGB").save(file, "JPEG")
    return file.getvalue()


def test_a_question_is_one_trace_through_both_services(client, collector):
    with trace.get_tracer("shop").start_as_current_span("page") as page:
        client.similar("dresses", photo(), deadline_seconds=30)
    whole = page.get_span_context().trace_id.to_bytes(16, "big")

    collector.until(lambda: len([1 for _, span in collector.spans if span.trace_id == whole]) == 11)
    found = {(its, span.name): span for its, span in collector.spans if span.trace_id == whole}
    embed = found["lookalike-embedder", "lookalike.embedder.v1.EmbedderService/Embed"]
    search = found["lookalike-search", "lookalike.search.v1.SearchService/Search"]
    below = {"embedder": embed, "search": search}
    assert {(its, name) for its, name in found if "/" not in name} == {
        *(("lookalike-embedder", name) for name in ("admission", "decode", "queue", "forward")),
        ("lookalike-embedder", "batch"),
        *(("lookalike-search", name) for name in ("admission", "filter", "candidates", "rerank")),
    }
    for (its, name), span in found.items():
        if "/" not in name:
            assert span.parent_span_id == below[its.removeprefix("lookalike-")].span_id
    told = {each.key: each.value for each in search.attributes}
    assert told["lookalike.index"].string_value == "dresses"
    assert told["lookalike.generation"].int_value == 1


def test_a_batch_links_to_every_call_in_it(client, collector):
    image = photo()
    with ThreadPoolExecutor(SIX) as pool:
        list(pool.map(lambda _: client.embed([image], deadline_seconds=30), range(SIX)))

    def linked():
        batches = collector.named("lookalike-embedder", "batch")
        return {link.span_id for batch in batches for link in batch.links}

    def calls():
        name = "lookalike.embedder.v1.EmbedderService/Embed"
        return {span.span_id for span in collector.named("lookalike-embedder", name)}

    collector.until(lambda: len(calls()) >= SIX and linked() == calls())
    # While the first was on the device the others came: at least two of them shared a batch.
    assert max(len(batch.links) for batch in collector.named("lookalike-embedder", "batch")) > 1


def test_a_service_without_the_extra_says_what_to_install(store, tmp_path):
    without = "import sys; sys.modules['opentelemetry'] = None; import runpy; sys.argv = ['x']; "
    settings = {"STORE": store, "CACHE": tmp_path / "cache", "TRACES": "true"}
    ran = subprocess.run(
        [sys.executable, "-c", without + "runpy.run_module('search_service', run_name='__main__')"],
        env={f"LOOKALIKE_SEARCH_{name}": str(value) for name, value in settings.items()},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert ran.returncode == 2
    assert "traces: expected the extra otel (pip install '.[otel]' in a checkout)" in ran.stderr
