import time
import urllib.request

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue
from grpc_health.v1 import health_pb2, health_pb2_grpc

from lookalike_kit.errors import InvalidField
from lookalike_kit.metrics import go_name
from tests.waiting import until

HELLO = StringValue(value="hello")
SAY = {"grpc_type": "unary", "grpc_service": "test.v1.EchoService", "grpc_method": "Say"}


def handled(served, code: str) -> float:
    return served.metric("grpc_server_handled_total", grpc_code=code, **SAY)


def test_calls_are_counted_by_method_and_status_and_timed(serve):
    def answer(request: StringValue, _: grpc.ServicerContext) -> StringValue:
        if request.value == "bad":
            raise InvalidField("value", "good", "bad")
        return request

    served = serve(answer)
    served.say(HELLO)
    with pytest.raises(grpc.RpcError):
        served.say(StringValue(value="bad"))

    assert served.metric("grpc_server_started_total", **SAY) == 2
    assert (handled(served, "OK"), handled(served, "InvalidArgument")) == (1, 1)
    assert served.metric("grpc_server_handling_seconds_count", **SAY) == 2


def test_every_status_of_a_method_is_counted_from_zero(serve):
    """A counter that appears as it is counted up shows no increase: no alert would see it."""
    served = serve(lambda request, _: request)
    served.say(HELLO)

    assert (handled(served, "OK"), handled(served, "Internal")) == (1, 0)
    assert handled(served, "Unavailable") == 0


def test_a_refused_call_is_handled_with_resource_exhausted(serve, gate):
    served = serve(gate, threads=1, max_waiting=0)
    held = served.say.future(HELLO)
    gate.wait_for_a_call()

    with pytest.raises(grpc.RpcError):
        served.say(HELLO)

    assert not held.done()
    assert handled(served, "ResourceExhausted") == 1


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (lambda call: call.cancel(), "Canceled"),
        (lambda call: call.exception(), "DeadlineExceeded"),
    ],
)
def test_an_answer_that_nobody_waits_for_is_not_counted_as_ok(serve, gate, end, code):
    served = serve(gate)
    call = served.say.future(HELLO, timeout=0.3 if code == "DeadlineExceeded" else 20)
    gate.wait_for_a_call()
    end(call)
    time.sleep(0.1)  # for the cancellation to reach the server
    gate.opened.set()

    until(lambda: handled(served, code) == 1)
    assert handled(served, "OK") == 0


def test_streams_pass_untouched(serve):
    served = serve(lambda request, _: request)
    watch = health_pb2_grpc.HealthStub(served.admin).Watch(health_pb2.HealthCheckRequest())

    assert next(iter(watch)).status == health_pb2.HealthCheckResponse.SERVING
    watch.cancel()


def test_metrics_are_read_over_http(serve):
    served = serve(lambda request, _: request)
    served.say(HELLO)

    url = f"http://{served.addresses.metrics_address}/metrics"
    with urllib.request.urlopen(url, timeout=20) as answer:
        text = answer.read().decode()

    assert "grpc_server_handled_total{" in text
    assert "process_resident_memory_bytes" in text
    assert "python_info" in text


def test_codes_have_the_names_that_go_prints():
    codes = grpc.StatusCode

    assert go_name(codes.OK) == "OK"
    assert go_name(codes.CANCELLED) == "Canceled"
    assert go_name(codes.INVALID_ARGUMENT) == "InvalidArgument"
    assert go_name(codes.OUT_OF_RANGE) == "OutOfRange"
    assert go_name(codes.UNAVAILABLE) == "Unavailable"
