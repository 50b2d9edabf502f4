"""What a port bounds, through a real server."""

import queue

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue

HELLO = StringValue(value="hello")
MAX_STREAMS = 100


def echo(request: StringValue, _: grpc.ServicerContext) -> StringValue:
    return request


def refused(call, *given, **options):
    with pytest.raises(grpc.RpcError) as error:
        call(*given, timeout=20, **options)
    return error.value


def test_a_message_over_the_limit_is_refused_and_the_connection_lives(serve):
    served = serve(echo, max_message_bytes=1024)

    error = refused(served.say, StringValue(value="x" * 2000))

    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert served.say(HELLO, timeout=20) == HELLO


@pytest.mark.parametrize("entries", [1, 64])
def test_metadata_over_16_kib_is_refused_and_the_connection_lives(serve, entries):
    served = serve(echo)
    metadata = [(f"x-{number}", "y" * (32 * 1024 // entries)) for number in range(entries)]

    error = refused(served.say, HELLO, metadata=metadata)

    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert served.say(HELLO, metadata=[("x-0", "y" * 4096)], timeout=20) == HELLO


def test_a_connection_carries_100_calls_and_the_next_one_waits(serve, gate):
    served = serve(gate, threads=2 * MAX_STREAMS)
    held = [served.say.future(HELLO, timeout=60) for _ in range(MAX_STREAMS)]
    for _ in held:
        gate.wait_for_a_call()

    beyond = served.say.future(HELLO, timeout=60)
    assert not gate.entered.acquire(timeout=0.2)
    gate.opened.set()

    assert [call.result() for call in [*held, beyond]] == [HELLO] * (MAX_STREAMS + 1)


def test_many_more_calls_than_a_connection_carries_are_all_answered(serve):
    served = serve(echo, threads=MAX_STREAMS, max_waiting=MAX_STREAMS)

    answers = [served.say.future(HELLO, timeout=60) for _ in range(2_000)]

    assert [call.result() for call in answers] == [HELLO] * len(answers)


def test_a_connection_ends_at_its_age_and_calls_go_on_over_the_next(serve):
    served = serve(echo, connection_age_seconds=1)
    states: queue.SimpleQueue[grpc.ChannelConnectivity] = queue.SimpleQueue()
    served.channel.subscribe(states.put)

    assert served.say(HELLO, timeout=20) == HELLO
    while states.get(timeout=60) is not grpc.ChannelConnectivity.READY:
        pass
    assert states.get(timeout=60) is grpc.ChannelConnectivity.IDLE

    assert served.say(HELLO, timeout=20) == HELLO
