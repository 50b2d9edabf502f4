import queue
import threading
import time
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue
from google.rpc import error_details_pb2, status_pb2

from lookalike_kit import calls
from lookalike_kit.admission import MAX_READING
from tests.waiting import until

HELLO = StringValue(value="hello")


def in_flight(served: Any) -> float:
    return served.metric("lookalike_in_flight_calls")


def test_what_comes_over_the_limit_is_refused_while_the_rest_is_answered(serve, gate):
    served = serve(gate, threads=2, max_waiting=3)

    burst = [served.say.future(HELLO, timeout=20) for _ in range(30)]
    refused = [call for call in burst if _ends_before_the_gate_opens(call)]
    gate.opened.set()
    answered = [call for call in burst if call.code() is grpc.StatusCode.OK]

    assert len(refused) == 25
    assert {call.code() for call in refused} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert len(answered) == 5
    assert served.metric("lookalike_admission_refused_total") == 25


def test_a_full_service_still_says_what_is_ready_made(serve, gate):
    served = serve(gate, threads=1, max_waiting=0)
    held = served.say.future(HELLO, timeout=60)
    gate.wait_for_a_call()

    with pytest.raises(grpc.RpcError) as full:
        served.say(HELLO, timeout=20)
    ready = served.ready(HELLO, timeout=20)
    gate.opened.set()

    assert full.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert ready == held.result() == HELLO


def test_a_refusal_tells_clients_when_to_come_back_in_both_ways(serve, gate):
    served = serve(gate, threads=1, max_waiting=0)
    held = served.say.future(HELLO)
    gate.wait_for_a_call()

    with pytest.raises(grpc.RpcError) as error:
        served.say(HELLO, timeout=20)

    trailers = dict(error.value.trailing_metadata())
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    retry = error_details_pb2.RetryInfo()
    assert any(detail.Unpack(retry) for detail in status.details)
    assert retry.retry_delay.ToMilliseconds() == int(trailers["grpc-retry-pushback-ms"]) > 0
    assert not held.done()


def test_a_place_to_wait_in_is_free_again_as_soon_as_its_call_expired(serve, gate):
    served = serve(gate, threads=2, max_waiting=4)
    held = [served.say.future(HELLO) for _ in range(2)]
    for _ in held:
        gate.wait_for_a_call()

    expired = [served.say.future(HELLO, timeout=0.2) for _ in range(4)]
    assert {call.code() for call in expired} == {grpc.StatusCode.DEADLINE_EXCEEDED}
    until(lambda: in_flight(served) == 2)

    again = [served.say.future(HELLO, timeout=20) for _ in range(4)]
    until(lambda: in_flight(served) == 6)
    gate.opened.set()
    assert [call.code() for call in held + again] == [grpc.StatusCode.OK] * 6
    until(lambda: in_flight(served) == 0)
    assert served.metric("lookalike_admission_refused_total") == 0


def test_a_cancelled_call_gives_its_place_to_the_next(serve, gate):
    served = serve(gate, threads=1, max_waiting=2)
    held = served.say.future(HELLO)
    gate.wait_for_a_call()
    cancelled, next_one = (served.say.future(HELLO, timeout=20) for _ in range(2))
    until(lambda: in_flight(served) == 3)
    cancelled.cancel()
    gate.opened.set()

    assert held.result() == next_one.result() == HELLO
    until(lambda: in_flight(served) == 0)


def test_a_call_that_expires_while_it_waits_never_runs(serve, gate):
    served = serve(gate, threads=1, max_waiting=1)
    held = served.say.future(HELLO)
    gate.wait_for_a_call()

    assert served.say.future(HELLO, timeout=0.1).code() is grpc.StatusCode.DEADLINE_EXCEEDED
    gate.opened.set()
    until(lambda: in_flight(served) == 0)

    assert held.result() == HELLO
    assert not gate.entered.acquire(blocking=False)


def test_a_refusal_does_not_wait_for_the_body_of_a_slow_sender(serve, gate):
    served = serve(gate, threads=1, max_waiting=0)
    held = served.say.future(HELLO)
    gate.wait_for_a_call()
    sent_later: queue.SimpleQueue[StringValue] = queue.SimpleQueue()
    slow = served.channel.stream_unary(
        "/test.v1.EchoService/Say",
        request_serializer=StringValue.SerializeToString,
        response_deserializer=StringValue.FromString,
    )

    def body() -> Iterator[StringValue]:
        yield sent_later.get()

    call = slow.future(body(), timeout=20)

    assert call.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert not held.done()
    sent_later.put(HELLO)


def test_the_wait_for_a_thread_is_measured_and_known_to_the_handler(serve):
    opened = threading.Event()

    def answer(_: StringValue, __: grpc.ServicerContext) -> StringValue:
        waited = calls.admission_micros()
        opened.wait(20)
        return StringValue(value=str(waited))

    served = serve(answer, threads=1, max_waiting=1)
    first = served.say.future(HELLO)
    until(lambda: served.metric("lookalike_admission_wait_seconds_count") == 1)
    second = served.say.future(HELLO)
    until(lambda: in_flight(served) == 2)
    time.sleep(0.2)  # of which the call may need some until it has been read
    opened.set()

    assert first.exception() is None
    assert int(second.result().value) >= 50_000
    assert served.metric("lookalike_admission_wait_seconds_sum") >= 0.05


def test_senders_that_never_end_take_no_place_from_others(serve):
    served = serve(lambda request, _: request, threads=1, max_waiting=0)
    endless = threading.Event()

    def body() -> Iterator[StringValue]:
        endless.wait(30)
        yield HELLO

    another = grpc.insecure_channel(
        served.addresses.address, [("grpc.use_local_subchannel_pool", 1)]
    )
    slow = [
        channel.stream_unary(
            "/test.v1.EchoService/Say",
            request_serializer=StringValue.SerializeToString,
            response_deserializer=StringValue.FromString,
        )
        for channel in (served.channel, another)  # a connection carries 100
    ]
    held = []
    while len(held) < MAX_READING:
        held.append(slow[len(held) % 2].future(body(), timeout=30))
        until(lambda: served.metric("lookalike_reading_calls") == len(held))

    assert served.say(HELLO, timeout=20) == HELLO
    until(lambda: in_flight(served) == 0)  # its thread ends after its answer
    endless.set()
    codes = [call.code() for call in held]
    # The one that was read for longest made room for the call that came whole; two may have.
    assert codes[1:].count(grpc.StatusCode.CANCELLED) <= 1
    assert codes[0] is grpc.StatusCode.CANCELLED
    assert served.metric("lookalike_admission_cut_off_total") >= 1
    another.close()


def test_a_call_without_a_message_is_the_callers_fault(serve):
    served = serve(lambda request, _: request)
    empty = served.channel.stream_unary("/test.v1.EchoService/Say")

    with pytest.raises(grpc.RpcError) as error:
        empty(iter(()), timeout=20)

    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error.value.details() == "request: expected a message, got none"


def test_a_message_that_does_not_parse_is_refused(serve):
    served = serve(lambda request, _: request)
    raw = served.channel.unary_unary("/test.v1.EchoService/Say")

    with pytest.raises(grpc.RpcError) as error:
        raw(b"\xff\xff\xff", timeout=20)

    assert error.value.code() is grpc.StatusCode.INTERNAL
    assert served.say(HELLO, timeout=20) == HELLO


def _ends_before_the_gate_opens(call: Any) -> bool:
    try:
        call.exception(timeout=0.5)
    except grpc.FutureTimeoutError:
        return False
    return True
