"""What a port bounds, through a real server."""

import queue
import socket

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

HELLO = StringValue(value="hello")
MAX_STREAMS = 100
# HTTP/2: a client's preface and settings, a ping, the answer to one.
OPENING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
PING = bytes([0, 0, 8, 6, 0, 0, 0, 0, 0]) + b"are you?"
PONG = bytes([0, 0, 8, 6, 1, 0, 0, 0, 0]) + b"are you?"


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


def test_a_connection_ends_at_its_age_and_what_runs_on_it_does_not(serve, gate):
    served = serve(gate, connection_age_seconds=1)
    states: queue.SimpleQueue[grpc.ChannelConnectivity] = queue.SimpleQueue()
    served.channel.subscribe(states.put)

    running = served.say.future(HELLO, timeout=60)
    while states.get(timeout=60) is not grpc.ChannelConnectivity.READY:
        pass
    assert states.get(timeout=60) is grpc.ChannelConnectivity.IDLE
    gate.opened.set()

    assert running.result() == HELLO
    assert served.say(HELLO, timeout=20) == HELLO


def test_a_client_may_ask_again_and_again_whether_we_are_there(serve):
    served = serve(echo)
    host, _, port = served.addresses.address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(OPENING + PING * 1000)
        answered = b""
        while answered.count(PONG) < 1000:
            received = connection.recv(1 << 16)
            assert received
            answered += received

    assert served.say(HELLO, timeout=20) == HELLO


def test_nothing_is_described_unless_asked_for(serve):
    served = serve(echo)

    for channel in (served.channel, served.admin):
        asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        with pytest.raises(grpc.RpcError) as error:
            list(stub.ServerReflectionInfo(asked, timeout=20))
        assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_admin_calls_are_not_taken_where_calls_are_nor_the_other_way_round(serve):
    served = serve(echo)

    for channel, service in ((served.channel, "AdminService"), (served.admin, "EchoService")):
        error = refused(channel.unary_unary(f"/test.v1.{service}/Say"), b"")
        assert error.code() is grpc.StatusCode.UNIMPLEMENTED
