"""Calls that fail leave nothing behind: gRPC refuses all calls of a connection that keeps 100."""

import gc
import threading
from collections import Counter

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue

from lookalike_kit.errors import InvalidField
from tests.waiting import until

HELLO = StringValue(value="hello")
MORE_THAN_A_CONNECTION_MAY_KEEP = 250
AT_ONCE = 16
READING = "lookalike_reading_calls"
BEARER_OF_NOTHING = (("authorization", "Bearer nothing"),)


@pytest.fixture
def uncollected():
    """Python finds no cycles: what a call leaves behind stays."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def echo(request: StringValue, _: grpc.ServicerContext) -> StringValue:
    if request == HELLO:
        return request
    raise InvalidField("value", "hello", request.value)


def outcomes(call, request, count=MORE_THAN_A_CONNECTION_MAY_KEEP, **options):
    """How many calls ended in each status, some at once on one connection."""
    room, codes = threading.Semaphore(AT_ONCE), Counter()

    def ended(future):
        codes[future.code()] += 1
        room.release()

    for _ in range(count):
        room.acquire()
        call.future(request, timeout=20, **options).add_done_callback(ended)
    for _ in range(AT_ONCE):
        room.acquire()
    return codes


def test_a_connection_outlives_calls_that_its_handler_refuses(serve, uncollected):
    served = serve(echo)

    assert set(outcomes(served.say, StringValue())) == {grpc.StatusCode.INVALID_ARGUMENT}
    assert served.say(HELLO, timeout=20) == HELLO


def test_a_connection_outlives_calls_without_a_token(serve, secret, uncollected):
    served = serve(echo, tokens=secret(tokens=b"")["tokens"])

    refused = outcomes(served.say, HELLO, metadata=BEARER_OF_NOTHING)

    assert set(refused) == {grpc.StatusCode.UNAUTHENTICATED}


def test_a_connection_outlives_calls_for_which_there_is_no_room(serve, gate, uncollected):
    served = serve(gate, threads=1, max_waiting=0)
    held = served.say.future(HELLO, timeout=60)
    gate.wait_for_a_call()

    refused = outcomes(served.say, HELLO)
    gate.opened.set()

    assert set(refused) == {grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert held.result() == HELLO
    assert served.say(HELLO, timeout=20) == HELLO


def test_a_connection_outlives_messages_that_are_broken_off(serve, uncollected):
    served = serve(echo)
    say = served.channel.stream_unary("/test.v1.EchoService/Say")
    never = threading.Event()

    for _ in range(MORE_THAN_A_CONNECTION_MAY_KEEP // AT_ONCE):
        broken = [say.future(iter(never.wait, None), timeout=20) for _ in range(AT_ONCE)]
        until(lambda: served.metric(READING) == AT_ONCE)
        for call in broken:
            call.cancel()
        until(lambda: served.metric(READING) == 0)

    never.set()
    assert served.say(HELLO, timeout=20) == HELLO
