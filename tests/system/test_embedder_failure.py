"""What becomes of a real process, wired as any other, when its device fails."""

import json
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from lookalike.embedder.v1 import embedder_pb2 as pb
from lookalike.embedder.v1 import embedder_pb2_grpc as pb_grpc

from proofs.device_failures import picture, reason, start

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Failing:
    """The process, a stub, and what its health has said."""

    def __init__(self, process: subprocess.Popen[str], stack: ExitStack) -> None:
        assert process.stderr is not None
        self.process = process
        serving = json.loads(process.stderr.readline())
        channel, admin = (
            stack.enter_context(grpc.insecure_channel(serving[name]))
            for name in ("address", "admin_address")
        )
        self.stub = pb_grpc.EmbedderServiceStub(channel)
        health = health_pb2_grpc.HealthStub(admin)
        self.health = health.Watch(health_pb2.HealthCheckRequest(), timeout=60)
        self._metrics = f"http://{serving['metrics_address']}/metrics"

    def embed(self, *shades: int) -> "grpc.CallFuture[pb.EmbedResponse]":
        images = [pb.Image(content=picture(shade)) for shade in shades]
        return self.stub.Embed.future(pb.EmbedRequest(images=images), timeout=60)

    def metrics(self) -> str:
        with urllib.request.urlopen(self._metrics) as page:
            return page.read().decode()


@pytest.fixture(params=["cpu", "cuda"], ids=["one batch", "two batches in flight"])
def failing(request) -> Iterator[Failing]:
    with ExitStack() as stack:
        process = start(DEVICE=request.param)
        stack.callback(process.communicate)
        stack.callback(process.kill)
        yield Failing(process, stack)


@pytest.mark.parametrize("failing_shade", [255, 254], ids=["lost", "hangs"])
def test_a_failed_device_is_not_serving_at_once_and_the_process_ends(failing, failing_shade):
    assert next(failing.health).status == SERVING
    assert len(failing.embed(0).result().results) == 1

    calls = [failing.embed(failing_shade), *(failing.embed(0) for _ in range(20))]
    codes = [call.code() for call in calls]
    assert next(failing.health).status == NOT_SERVING
    _, log = failing.process.communicate(timeout=60)

    assert codes[0] is grpc.StatusCode.UNAVAILABLE
    assert reason(calls[0]) == "DEVICE_FAILED"
    # CANCELLED is gRPC's word for what comes when the port is about to close.
    assert {code.name for code in codes} <= {"UNAVAILABLE", "OK", "CANCELLED"}
    assert failing.process.returncode == 1
    events = [event for line in log.splitlines() if (event := json.loads(line)["event"]) != "call"]
    assert events[-2:] == ["device_lost", "abandoned"]


def test_a_device_that_fails_twice_in_a_row_ends_the_process_but_once_does_not(failing):
    assert next(failing.health).status == SERVING

    codes = [failing.embed(shade).code().name for shade in (253, 0, 253, 253)]
    assert next(failing.health).status == NOT_SERVING
    failing.process.communicate(timeout=60)

    assert codes == ["INTERNAL", "OK", "INTERNAL", "UNAVAILABLE"]
    assert failing.process.returncode == 1


def test_where_memory_runs_out_every_call_of_the_batch_is_answered_all_the_same(failing):
    answer = failing.embed(*range(10)).result()

    vectors = [np.frombuffer(result.embeddings[0].values, "<f4") for result in answer.results]
    assert [vector[0] for vector in vectors] == list(range(10))
    assert 'device_trouble_total{kind="out_of_memory"}' in failing.metrics()
    assert next(failing.health).status == SERVING


def test_a_stop_in_the_middle_answers_what_is_here_and_ends_in_order(failing):
    calls = [failing.embed(252) for _ in range(8)]
    while "lookalike_in_flight_calls 8.0" not in failing.metrics():
        pass
    failing.process.terminate()
    _, log = failing.process.communicate(timeout=60)

    assert {call.code() for call in calls} == {grpc.StatusCode.OK}
    assert failing.process.returncode == 0
    lines = [json.loads(line) for line in log.splitlines()]
    assert lines[-1]["event"] == "stopped"
    assert lines[-1]["abandoned_calls"] == 0


def test_a_port_in_use_is_told_in_one_line():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        process = start(ADDRESS=address)
        _, told = process.communicate(timeout=60)

    expected = "embedder cannot start: address: expected a free HOST:PORT of this machine, got "
    assert process.returncode == 2
    assert told.startswith(f"{expected}{address} (")
    assert told.count("\n") == 1
