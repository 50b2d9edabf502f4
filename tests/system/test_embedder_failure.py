"""What becomes of a real process when its device fails."""

import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from lookalike.embedder.v1 import embedder_pb2 as pb
from lookalike.embedder.v1 import embedder_pb2_grpc as pb_grpc
from PIL import Image

SCRIPT = Path(__file__).parent / "failing_embedder.py"
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

    def embed(self, shade: int) -> "grpc.CallFuture[pb.EmbedResponse]":
        file = io.BytesIO()
        Image.new("RGB", (32, 32), (shade,) * 3).save(file, "PNG")
        request = pb.EmbedRequest(images=[pb.Image(content=file.getvalue())])
        return self.stub.Embed.future(request, timeout=60)


@pytest.fixture
def failing() -> Iterator[Callable[[str], Failing]]:
    with ExitStack() as stack:

        def started(how: str) -> Failing:
            process = subprocess.Popen(
                [sys.executable, SCRIPT, how], stderr=subprocess.PIPE, text=True
            )
            stack.callback(process.communicate)
            stack.callback(process.kill)
            return Failing(process, stack)

        yield started


def reason(call: grpc.Call) -> str:
    trailers = dict(call.trailing_metadata())
    info = error_details_pb2.ErrorInfo()
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    assert status.details[0].Unpack(info)
    return info.reason


@pytest.mark.parametrize("how", ["lost", "hang"])
def test_a_failed_device_is_not_serving_at_once_and_the_process_ends(failing, how):
    embedder = failing(how)
    assert next(embedder.health).status == SERVING
    assert len(embedder.embed(0).result().results) == 1

    calls = [embedder.embed(255), *(embedder.embed(0) for _ in range(20))]
    codes = [call.code() for call in calls]
    assert next(embedder.health).status == NOT_SERVING
    _, log = embedder.process.communicate(timeout=60)

    assert codes[0] is grpc.StatusCode.UNAVAILABLE
    assert reason(calls[0]) == "DEVICE_FAILED"
    # CANCELLED is gRPC's word for what comes when the port is about to close.
    assert {code.name for code in codes} <= {"UNAVAILABLE", "OK", "CANCELLED"}
    assert embedder.process.returncode == 1
    events = [json.loads(line)["event"] for line in log.splitlines()]
    assert events[-2:] == ["device_lost", "abandoned"]
