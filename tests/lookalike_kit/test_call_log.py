import time

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue

from lookalike_kit import calls
from lookalike_kit.call_log import MAX_LINES_A_SECOND, CallLog, is_sampled
from lookalike_kit.errors import InvalidField, Overloaded

HELLO = StringValue(value="hello")


def echo(request: StringValue, _: grpc.ServicerContext) -> StringValue:
    calls.tell(lambda: {"index": "dresses", "generation": 14, "stage_micros": {"rerank": 7}})
    return request


def named(request_id: str) -> dict:
    return {"metadata": (("x-request-id", request_id),), "timeout": 20}


def lines_of_calls(lines) -> list[dict]:
    return [line for line in lines() if line["event"] == "call"]


def refuse(_: StringValue, __: grpc.ServicerContext) -> StringValue:
    calls.tell(lambda: {"index": "dresses"})
    raise InvalidField("options.k", "1 to 1000", "a secret")


def refused(served, *, calls: int = 1) -> None:
    for _ in range(calls):
        with pytest.raises(grpc.RpcError):
            served.say(HELLO, **named("order-17"))


def test_a_sampled_call_says_all_that_was_told_of_it(serve, lines):
    serve(echo, log_calls_every=1).say(HELLO, **named("order-17"))

    [line] = lines_of_calls(lines)
    assert (line["level"], line["why"], line["code"]) == ("info", "sampled", "OK")
    assert (line["method"], line["request_id"]) == ("/test.v1.EchoService/Say", "order-17")
    assert (line["index"], line["generation"], line["attempt"]) == ("dresses", 14, 1)
    assert line["stage_micros"] == {"admission": line["stage_micros"]["admission"], "rerank": 7}
    assert line["micros"] >= line["stage_micros"]["admission"] >= 0


def test_a_call_that_is_worth_no_line_has_one_at_debug(serve, lines):
    serve(echo, log_calls_every=0).say(HELLO, **named("order-17"))

    [line] = lines_of_calls(lines)
    assert (line["level"], line["code"]) == ("debug", "OK")


def test_a_failed_call_says_its_reason_and_field_and_nothing_that_the_caller_wrote(serve, lines):
    refused(serve(refuse, log_calls_every=0))

    [line] = lines_of_calls(lines)
    assert (line["why"], line["code"]) == ("failed", "INVALID_ARGUMENT")
    assert (line["reason"], line["field"], line["index"]) == (
        "INVALID_FIELD",
        "options.k",
        "dresses",
    )
    assert "secret" not in str(line)


def test_a_slow_call_has_its_line(serve, lines):
    serve(echo, log_calls_every=0, log_slow_seconds=0.0).say(HELLO, **named("order-17"))

    assert [line["why"] for line in lines_of_calls(lines)] == ["slow"]


def test_a_call_that_nobody_waits_for_any_more_is_a_failed_one(serve, gate, lines):
    call = serve(gate).say.future(HELLO, timeout=0.3)
    gate.wait_for_a_call()
    call.exception()
    time.sleep(0.1)
    gate.opened.set()

    end = time.monotonic() + 20
    while not (found := lines_of_calls(lines)):
        assert time.monotonic() < end
        time.sleep(0.01)
    assert (found[0]["why"], found[0]["code"]) == ("failed", "DEADLINE_EXCEEDED")


def test_a_retry_says_which_it_is(serve, lines):
    said = []

    def answer(request: StringValue, _: grpc.ServicerContext) -> StringValue:
        said.append(request)
        if len(said) < 3:
            raise Overloaded("calls: expected fewer, got more", retry_after_seconds=0.01)
        return request

    served = serve(answer, log_calls_every=1)
    policy = (
        '{"methodConfig": [{"name": [{}], "retryPolicy": {"maxAttempts": 4, "initialBackoff": '
        '"0.01s", "maxBackoff": "0.01s", "backoffMultiplier": 1, '
        '"retryableStatusCodes": ["RESOURCE_EXHAUSTED"]}}]}'
    )
    options = [("grpc.service_config", policy)]
    with grpc.insecure_channel(served.addresses.address, options) as channel:
        channel.unary_unary("/test.v1.EchoService/Say")(
            HELLO.SerializeToString(), **named("order-17")
        )

    assert [(line["attempt"], line["code"]) for line in lines_of_calls(lines)] == [
        (1, "RESOURCE_EXHAUSTED"),
        (2, "RESOURCE_EXHAUSTED"),
        (3, "OK"),
    ]


def test_a_storm_of_failures_is_a_few_lines_and_a_number(lines):
    now = [0.0]
    call_log = CallLog(0, 1.0, clock=lambda: now[0])
    for now[0] in (*[1.0] * (MAX_LINES_A_SECOND + 5), 2.0):
        call_log.ended("/test.v1.EchoService/Say", (), "INTERNAL", 0.0)

    found = [line.get("left_out") for line in lines_of_calls(lines) if line["level"] == "info"]
    assert found == [None] * MAX_LINES_A_SECOND + [5]


def test_what_cannot_be_told_costs_the_line_and_not_the_call(serve, lines):
    def answer(request: StringValue, _: grpc.ServicerContext) -> StringValue:
        calls.tell(lambda: {"share": 1 // 0})
        return request

    assert serve(answer, log_calls_every=1).say(HELLO, timeout=20) == HELLO
    assert [line["event"] for line in lines()] == ["untold"]


def test_a_request_is_sampled_wherever_it_goes_and_one_in_so_many_is():
    ids = [f"order-{number}" for number in range(10_000)]

    assert sum(is_sampled(each, 100) for each in ids) == pytest.approx(100, abs=40)
    assert all(is_sampled(each, 1) for each in ids)
    assert not any(is_sampled(each, 0) for each in ids)
