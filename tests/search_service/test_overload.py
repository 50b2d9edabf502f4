"""More calls than one thread can answer, through a real server: eased, refused, given up."""

import time
from collections import Counter

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from lookalike.search.v1 import search_pb2 as pb
from lookalike.v1.embedding_pb2 import Embedding

from lookalike_kit import calls
from lookalike_kit.errors import CallerGone
from search_service.catalog import Catalog
from search_service.options import read_options
from search_service.query import ByItem, ByVector
from tests.waiting import until

SPACE = "a" * 64
SERVICE = "lookalike.search.v1.SearchService"


def serve_alone(serving, generation):
    """A server with one thread and eight places to wait in."""
    catalog = Catalog()
    catalog.promote("dresses", (generation,))
    return serving(catalog, threads=1, max_waiting=8)


@pytest.fixture(scope="module")
def generation(opened, forest_build):
    return opened(forest_build)


@pytest.fixture(scope="module")
def search(serving, generation):
    return serve_alone(serving, generation)


@pytest.fixture(scope="module")
def many_photos(made, drawn, quick):
    """An index where a search by 256 items compares 16,384 vectors with nearly all."""
    return made(drawn(40, photos=64), quick(engine="exact"))


@pytest.fixture(scope="module")
def slow(serving, many_photos):
    return serve_alone(serving, many_photos)


def by_items(items=256, **options):
    queries = [pb.Query(item_id=f"item-{i % 40:05d}") for i in range(items)]
    return pb.SearchBatchRequest(
        index="dresses", queries=queries, options=pb.SearchOptions(**options)
    )


def by_vectors(generation, **options):
    """A call that takes some tens of milliseconds."""
    vectors = generation.segments.vectors[:128]
    embeddings = [Embedding(values=vector.tobytes(), space_id=SPACE) for vector in vectors]
    return pb.SearchBatchRequest(
        index="dresses",
        queries=[pb.Query(embedding=embedding) for embedding in embeddings],
        options=pb.SearchOptions(k=20, **options),
    )


def handled(served, code):
    labels = {
        "grpc_type": "unary",
        "grpc_service": SERVICE,
        "grpc_method": "SearchBatch",
        "grpc_code": code,
    }
    return served.registry.get_sample_value("grpc_server_handled_total", labels) or 0


def in_flight(served):
    return served.registry.get_sample_value("lookalike_in_flight_calls")


def eased_calls(served):
    found = {"0.95": 0.0, "0.90": 0.0}
    for level in found:
        labels = {"index": "dresses", "recall": level}
        value = served.registry.get_sample_value("lookalike_search_eased_total", labels)
        found[level] = value or 0.0
    return found


def is_lowered(answer):
    return {each.shortfall for each in answer.answers} == {pb.SHORTFALL_EFFORT_LOWERED}


def burst(served, request, count):
    """So many calls at once, when all have ended."""
    sent = [served.stub.SearchBatch.future(request, timeout=60) for _ in range(count)]
    for call in sent:
        call.exception()
    return sent


def answered(sent):
    return [call.result() for call in sent if call.code() is grpc.StatusCode.OK]


def refused(sent):
    return [call for call in sent if call.code() is not grpc.StatusCode.OK]


def test_under_overload_answers_are_eased_and_say_so_before_calls_are_refused(search, generation):
    quiet = search.stub.SearchBatch(by_vectors(generation))
    assert not is_lowered(quiet)

    sent = [call for _ in range(2) for call in burst(search, by_vectors(generation), 30)]

    codes = Counter(call.code() for call in sent)
    assert codes.keys() == {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}
    eased = [answer for answer in answered(sent) if is_lowered(answer)]
    assert eased
    assert all(answer.answered.effort < quiet.answered.effort for answer in eased)
    assert sum(eased_calls(search).values()) == len(eased)
    assert eased_calls(search)["0.90"] > 0
    for call in refused(sent):
        trailers = dict(call.trailing_metadata())
        status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
        retry = error_details_pb2.RetryInfo()
        assert any(detail.Unpack(retry) for detail in status.details)
        assert retry.retry_delay.ToMilliseconds() == int(trailers["grpc-retry-pushback-ms"]) > 0

    assert search.vitals.of(generation.sha256).internal_errors == 0
    assert handled(search, "Internal") == 0
    assert search.vitals.of(generation.sha256).queries == 128 * handled(search, "OK")

    # It is over when it is over.
    after = search.stub.SearchBatch(by_vectors(generation))
    assert (after.answers, after.answered) == (quiet.answers, quiet.answered)


@pytest.mark.parametrize(
    "options", [{"accuracy": pb.ACCURACY_EXACT}, {"strict_recall": True}], ids=["exact", "strict"]
)
def test_exact_and_strict_calls_are_refused_and_never_eased(search, generation, options):
    before = eased_calls(search)

    sent = burst(search, by_vectors(generation, **options), 20)

    assert {call.code() for call in refused(sent)} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert len(answered(sent)) > 1
    assert not any(is_lowered(answer) for answer in answered(sent))
    assert eased_calls(search) == before


def test_long_work_stops_soon_after_its_caller_has_gone(slow, many_photos):
    late = slow.stub.SearchBatch.future(by_items(), timeout=0.2)
    assert late.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    until(lambda: handled(slow, "DeadlineExceeded") == 1)

    cancelled = slow.stub.SearchBatch.future(by_items())
    until(lambda: in_flight(slow) == 1)
    time.sleep(0.05)  # it is at work, or else it will never be
    cancelled.cancel()
    until(lambda: in_flight(slow) == 0)

    # Neither was answered to its end, and neither was a fault.
    vital = slow.vitals.of(many_photos.sha256)
    assert (vital.queries, vital.internal_errors) == (0, 0)
    assert handled(slow, "Internal") == 0


def test_calls_that_expire_while_they_wait_never_run(slow, many_photos):
    before = slow.vitals.of(many_photos.sha256).queries
    held = slow.stub.SearchBatch.future(by_items(32))
    until(lambda: in_flight(slow) == 1)

    expired = [slow.stub.SearchBatch.future(by_items(1), timeout=0.02) for _ in range(4)]

    assert {call.code() for call in expired} == {grpc.StatusCode.DEADLINE_EXCEEDED}
    assert not held.done()
    held.result()
    until(lambda: in_flight(slow) == 0)
    assert slow.vitals.of(many_photos.sha256).queries == before + 32


@pytest.mark.parametrize("options", [{}, {"accuracy": pb.ACCURACY_EXACT}], ids=["engine", "exact"])
@pytest.mark.parametrize("by", ["item", "vector"])
def test_every_step_of_a_batch_asks_whether_it_is_awaited(generation, by, options):
    asked = []
    targets = [ByItem(f"item-{i:05d}", "queries") for i in range(256)]
    if by == "vector":
        vectors = generation.segments.vectors[:256]
        targets = [ByVector(each.tobytes(), SPACE, "queries") for each in vectors]
    read = read_options(pb.SearchOptions(**options), queries=256)

    def is_awaited():
        asked.append(1)
        return len(asked) < 20

    calls.begin([], is_awaited)
    try:
        with pytest.raises(CallerGone):
            generation.nearest(targets, read)
    finally:
        calls.end()
    assert len(asked) == 20
