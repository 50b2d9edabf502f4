import faulthandler
import json
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from prometheus_client import CollectorRegistry

from lookalike_kit.config import ConfigError
from lookalike_kit.server import LIVE, Server, ServerConfig

HELLO = StringValue(value="hello")
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
ECHO = "test.v1.EchoService"

# Answers Say after half a second, or never, and drains for as long as it is told.
PROGRAM = """
import sys, time
import grpc
from prometheus_client import CollectorRegistry
from lookalike_kit import logs
from lookalike_kit.server import Registration, Server, ServerConfig

def say(request, context):
    time.sleep(600 if request == b"for ever" else 0.5)
    return request

def register(server):
    handlers = {"Say": grpc.unary_unary_rpc_method_handler(say)}
    generic = grpc.method_handlers_generic_handler("test.v1.EchoService", handlers)
    server.add_generic_rpc_handlers((generic,))

logs.configure("info", "echo")
config = ServerConfig(
    address="127.0.0.1:0", admin_address="127.0.0.1:0", metrics_address="127.0.0.1:0",
    drain_seconds=float(sys.argv[1]), grace_seconds=float(sys.argv[2]),
)
server = Server(
    config, "echo", CollectorRegistry(), [Registration("test.v1.EchoService", register)]
)
server.start()
server.catch_signals()
server.set_ready(True)
server.run_until_signal()
"""


def echo(request: StringValue, _: grpc.ServicerContext) -> StringValue:
    return request


def check(channel: grpc.Channel, name: str = "") -> Any:
    request = health_pb2.HealthCheckRequest(service=name)
    return health_pb2_grpc.HealthStub(channel).Check(request, timeout=20).status


class Process:
    """A server in a process of its own."""

    def __init__(self, drain_seconds: float, grace_seconds: float = 10.0) -> None:
        seconds = [str(drain_seconds), str(grace_seconds)]
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *seconds], stderr=subprocess.PIPE, text=True
        )
        self.serving = self.line()
        self.channel = grpc.insecure_channel(self.serving["address"])
        self.admin = grpc.insecure_channel(self.serving["admin_address"])
        self.say = self.channel.unary_unary(f"/{ECHO}/Say")

    def line(self) -> dict[str, Any]:
        assert self.process.stderr is not None
        return json.loads(self.process.stderr.readline())

    def rest(self) -> list[str]:
        assert self.process.stderr is not None
        return self.process.stderr.read().splitlines()

    def metrics(self) -> str:
        url = f"http://{self.serving['metrics_address']}/metrics"
        with urllib.request.urlopen(url, timeout=20) as answer:
            return answer.read().decode()

    def wait_for_calls(self, count: int) -> None:
        while f"lookalike_admission_wait_seconds_count {count}.0" not in self.metrics():
            time.sleep(0.002)

    def close(self) -> None:
        self.channel.close()
        self.admin.close()
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def process(request: pytest.FixtureRequest) -> Iterator[Process]:
    started = Process(drain_seconds=request.param)
    yield started
    started.close()


def test_health_says_not_serving_until_ready_for_every_name(serve):
    served = serve(echo)
    served.server.set_ready(False)
    assert {check(served.admin, name) for name in ("", ECHO)} == {NOT_SERVING}

    served.server.set_ready(True)
    assert {check(served.admin, name) for name in ("", ECHO)} == {SERVING}


def test_who_calls_before_it_is_ready_waits_and_is_answered(serve):
    served = serve(echo, ready=False)
    early = served.say.future(HELLO, timeout=20)
    with pytest.raises(grpc.FutureTimeoutError):
        early.result(timeout=0.5)

    served.server.set_ready(True)
    assert early.result() == HELLO


def test_callers_of_several_replicas_are_answered_by_those_that_were_ready(serve):
    starting = serve(lambda _, __: StringValue(value="too early"), ready=False)
    ready = serve(echo)
    both = f"ipv4:{starting.addresses.address},{ready.addresses.address}"
    options = [("grpc.service_config", '{"loadBalancingConfig": [{"round_robin": {}}]}')]
    with grpc.insecure_channel(both, options) as channel:
        say = channel.unary_unary(f"/{ECHO}/Say")
        assert {say(b"", timeout=20) for _ in range(10)} == {b""}


def test_a_server_that_was_never_ready_stops_without_a_drain(serve):
    served = serve(echo, ready=False, drain_seconds=600.0)
    served.server.stop()
    served.server.set_ready(True)

    assert not served.server.is_ready


def test_a_process_that_is_not_ready_is_live(serve):
    served = serve(echo)
    served.server.set_ready(False)

    assert check(served.admin, LIVE) is SERVING


def test_health_answers_while_every_thread_is_taken(serve, gate):
    served = serve(gate, threads=1, max_waiting=0)
    held = served.say.future(HELLO)
    gate.wait_for_a_call()

    assert check(served.admin) == SERVING
    assert not held.done()


def test_health_is_not_on_the_port_for_calls(serve):
    with pytest.raises(grpc.RpcError) as error:
        check(serve(echo).channel)

    assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("name", ["address", "admin_address", "metrics_address"])
def test_a_port_in_use_is_told_by_its_setting(name):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        free = dict.fromkeys(("address", "admin_address", "metrics_address"), "127.0.0.1:0")
        server = Server(ServerConfig(**{**free, name: address}), "echo", CollectorRegistry(), [])

        with pytest.raises(ConfigError, match=rf"^{name}: expected a free .* got {address}"):
            server.start()
        server.stop(drain_seconds=0)


def described(channel: grpc.Channel) -> set[str]:
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    [answer] = stub.ServerReflectionInfo(iter([request]), timeout=20)
    return {service.name for service in answer.list_services_response.service}


def test_each_port_describes_its_services_if_asked_for(serve):
    served = serve(echo, reflection=True)

    assert ECHO in described(served.channel)
    assert "grpc.health.v1.Health" in described(served.admin)


def test_nothing_is_described_unless_asked_for(serve):
    served = serve(echo)

    for channel in (served.channel, served.admin):
        with pytest.raises(grpc.RpcError) as error:
            described(channel)
        assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_stop_lets_a_running_call_finish(serve, gate):
    served = serve(gate)
    running = served.say.future(HELLO)
    gate.wait_for_a_call()
    stopping = threading.Thread(target=served.server.stop, kwargs={"drain_seconds": 0})
    stopping.start()
    gate.opened.set()
    stopping.join()

    assert running.result() == HELLO


def test_a_running_call_is_cut_off_after_the_grace(serve, gate):
    served = serve(gate, grace_seconds=0.1)
    running = served.say.future(HELLO)
    gate.wait_for_a_call()

    served.server.stop(drain_seconds=0)

    assert running.code() is not grpc.StatusCode.OK


def test_after_stop_metrics_are_gone(serve):
    served = serve(echo)
    served.server.stop(drain_seconds=0)

    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"http://{served.addresses.metrics_address}/metrics", timeout=5)


@pytest.mark.parametrize("process", [600.0], indirect=True)
def test_sigterm_says_not_serving_and_serves_on_until_a_second_one(process):
    process.process.send_signal(signal.SIGTERM)
    assert process.line()["event"] == "stopping"
    assert check(process.admin) == check(process.admin, ECHO) == NOT_SERVING

    assert process.say(b"still here", timeout=20) == b"still here"
    running = process.say.future(b"in flight", timeout=20)
    process.wait_for_calls(2)
    process.process.send_signal(signal.SIGTERM)

    assert running.result() == b"in flight"
    assert process.process.wait(20) == 0
    assert json.loads(process.rest()[-1])["event"] == "stopped"


def test_a_process_that_hangs_at_its_end_ends_all_the_same_and_says_where():
    started = Process(drain_seconds=0.0, grace_seconds=0.2)
    try:
        hanging = started.say.future(b"for ever", timeout=60)
        started.wait_for_calls(1)
        started.process.terminate()

        assert started.process.wait(20) == 1
        assert hanging.code() is not grpc.StatusCode.OK
        assert any(" in say" in line for line in started.rest())
    finally:
        started.close()


@pytest.mark.parametrize("process", [0.0], indirect=True)
def test_the_serving_line_says_where(process):
    assert process.serving["event"] == "serving"
    assert check(process.admin) == SERVING
    assert "lookalike_in_flight_calls 0.0" in process.metrics()


@pytest.mark.parametrize("process", [0.0], indirect=True)
def test_an_interrupt_ends_the_process_in_order(process):
    process.process.send_signal(signal.SIGINT)

    assert process.process.wait(20) == 0


def test_a_request_to_stop_ends_the_run(serve):
    served = serve(echo, drain_seconds=0.0)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    served.server.request_stop()

    try:
        served.server.run_until_signal()
    finally:
        faulthandler.cancel_dump_traceback_later()  # it would end this process
        for number, former in before.items():
            signal.signal(number, former)
    with pytest.raises(grpc.RpcError):
        served.say(HELLO)
