"""Callers that freeze or die: processes of their own, stopped and killed by the system."""

import gc
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
import pytest
from lookalike.embedder.v1 import embedder_pb2 as pb

from embedder_service.pending import Embedded

CALLS = 12
# Answers of 240 KB: four times what HTTP/2 sends to somebody who does not read.
COPIES = 5_000
CALLER = """
import sys
import grpc
from lookalike.embedder.v1 import embedder_pb2 as pb, embedder_pb2_grpc as pb_grpc

stub = pb_grpc.EmbedderServiceStub(grpc.insecure_channel(sys.argv[1]))
request = pb.EmbedRequest(images=[pb.Image(content=open(sys.argv[2], "rb").read())])
calls = [stub.Embed.future(request) for _ in range(int(sys.argv[3]))]
print(*(call.code().name for call in calls))
"""


@pytest.fixture
def caller(served, picture, encode, tmp_path) -> Iterator[subprocess.Popen[str]]:
    """One whose calls wait in the queue behind one of ours, which is on the device."""
    served.model.copies = COPIES
    served.model.free.clear()
    (tmp_path / "photo.jpg").write_bytes(encode(picture, "JPEG"))
    first = served.stub.Embed.future(embedding(encode(picture, "JPEG")))
    assert served.model.entered.acquire(timeout=20)
    command = [sys.executable, "-c", CALLER, served.address, tmp_path / "photo.jpg", str(CALLS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        served.until(lambda: served.metric("queue_images", priority="online") == CALLS)
        yield process
        process.kill()
    assert first.code() is grpc.StatusCode.OK


@contextmanager
def frozen(process: subprocess.Popen[str]) -> Iterator[None]:
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def embedding(content: bytes) -> pb.EmbedRequest:
    return pb.EmbedRequest(images=[pb.Image(content=content)])


def test_who_does_not_read_its_answers_holds_no_thread_and_no_place(
    served, caller, picture, encode
):
    gc.collect()  # what other tests left in cycles
    with frozen(caller):
        served.model.free.set()
        served.until(lambda: served.in_flight() == 0)  # answered, and nobody has read a word

        assert served.metric("images_total", result="ok") == CALLS + 1
        assert sum(type(each) is Embedded for each in gc.get_objects()) <= 1  # the last one's frame
        for _ in range(50):
            served.stub.Embed(embedding(encode(picture, "JPEG")))
    told, _ = caller.communicate(timeout=60)

    assert told.split() == ["OK"] * CALLS


def test_a_killed_process_wastes_the_batch_on_the_device_and_no_more(
    served, caller, picture, encode
):
    caller.kill()
    served.until(lambda: served.metric("queue_images", priority="online") == 0)
    served.model.free.set()
    served.until(lambda: served.in_flight() == 0)

    served.stub.Embed(embedding(encode(picture, "JPEG")))
    assert served.metric("batch_images_sum") == 2  # the one that was on the device, and this one


def test_a_stop_waits_no_longer_than_its_grace_for_who_does_not_read(served, caller):
    with frozen(caller):
        served.model.free.set()
        served.until(lambda: served.in_flight() == 0)
        served.stop()

    ours = {"call", "admin", "decode", "model", "model-watch", "metrics"}
    served.until(lambda: not ours & {each.name.split("_")[0] for each in threading.enumerate()})
