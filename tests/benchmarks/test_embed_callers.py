"""What benchmarks of the embedder ask it with, against the embedder whose device is a clock."""

import pytest
from lookalike.embedder.v1 import embedder_pb2 as pb
from lookalike_cli import processes

from benchmarks.echo import Echo
from benchmarks.embed_callers import ask, callers, send
from benchmarks.photograph import photograph

PHOTOS = [photograph(60, 40, number) for number in range(3)]


@pytest.fixture(scope="module")
def stand_in():
    with processes.start(
        "benchmarks.embedder_stand_in", "LOOKALIKE_EMBEDDER_", {"model": 1}
    ) as running:
        yield running


def test_callers_ask_one_call_after_the_other(stand_in):
    asked = ask(stand_in.address, PHOTOS, 0.2, at_once=2, images_a_call=4)

    assert asked.calls_per_second > 0
    assert min(asked.call_seconds) >= 4 * 0.001
    assert asked.cpu_seconds > 0


def test_calls_are_sent_when_they_are_due_whatever_comes_back(stand_in):
    sent = send(stand_in.address, PHOTOS, [number / 100 for number in range(20)], timeout=5.0)

    assert sent.codes == {"OK": 20}
    assert len(sent.answer_seconds) == 20
    assert sent.answers_per_second > 0


def test_an_echo_answers_with_what_it_was_given():
    given = pb.EmbedResponse(results=[pb.ImageResult()])
    service = pb.DESCRIPTOR.services_by_name["EmbedderService"].full_name
    with (
        Echo.start(service, {"Embed": (pb.EmbedRequest, given)}) as echo,
        callers() as clients,
    ):
        asked = clients.submit(ask, echo.address, PHOTOS, 0.1, 2).result()

    assert asked.calls_per_second > 0


def test_a_photograph_is_the_same_each_time_and_another_by_number():
    assert photograph(60, 40, 1) == PHOTOS[1]
    assert PHOTOS[0] != PHOTOS[1]
