"""The service over a real port; the model is a stand-in that answers at once."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import grpc
import numpy as np
import pytest
from lookalike.embedder.v1 import embedder_pb2 as pb
from lookalike.embedder.v1 import embedder_pb2_grpc as pb_grpc
from lookalike.v1.error_reason_pb2 import ErrorReason
from PIL import Image

from proofs.hostile_images import OK, corpus

DIMENSION = 12
OWN_CONNECTION = [("grpc.use_local_subchannel_pool", 1)]


def request(*contents: bytes, **fields: int) -> pb.EmbedRequest:
    return pb.EmbedRequest(images=[pb.Image(content=content) for content in contents], **fields)


def vectors(result: pb.ImageResult) -> list[np.ndarray]:
    return [np.frombuffer(embedding.values, "<f4") for embedding in result.embeddings]


def test_an_image_becomes_a_vector_of_the_space(served, picture, encode):
    answer = served.stub.Embed(request(encode(picture, "JPEG")))

    (embedding,) = answer.results[0].embeddings
    assert embedding.space_id == served.info.space_id
    assert len(embedding.values) == 4 * DIMENSION
    assert np.linalg.norm(np.frombuffer(embedding.values, "<f4")) == pytest.approx(1)
    assert not answer.results[0].HasField("error")
    assert answer.timings.decode_micros > 0
    assert answer.timings.forward_micros > 0


def test_the_answer_keeps_the_order_of_the_request(served, draw, encode):
    contents = [encode(draw(number), "PNG") for number in range(20)]
    together = served.stub.Embed(request(*contents)).results

    for content, result in zip(contents, together, strict=True):
        (alone,) = served.stub.Embed(request(content)).results
        assert alone == result


def test_one_bad_image_fails_alone_by_its_position(served, picture, encode, png_of_size, scan_bomb):
    good = encode(picture, "JPEG")
    gif = encode(picture, "GIF")
    bad = {
        1: (b"", ErrorReason.ERROR_REASON_UNSUPPORTED_IMAGE),
        2: (b"hello", ErrorReason.ERROR_REASON_UNSUPPORTED_IMAGE),
        3: (gif, ErrorReason.ERROR_REASON_UNSUPPORTED_IMAGE),
        4: (good[: len(good) // 2], ErrorReason.ERROR_REASON_BROKEN_IMAGE),
        5: (png_of_size(50_000, 50_000), ErrorReason.ERROR_REASON_IMAGE_TOO_LARGE),
        6: (scan_bomb, ErrorReason.ERROR_REASON_IMAGE_TOO_LARGE),
        7: (good + bytes(1 << 20), ErrorReason.ERROR_REASON_IMAGE_TOO_LARGE),
    }

    (alone,) = served.stub.Embed(request(good)).results
    answer = served.stub.Embed(request(good, *(content for content, _ in bad.values()), good))

    assert answer.results[0] == answer.results[8] == alone
    for position, (_, reason) in bad.items():
        result = answer.results[position]
        assert result.error.reason == reason
        assert result.error.message.startswith(f"images[{position}].content: expected")
        assert result.error.metadata["position"] == str(position)
        assert not result.embeddings
    assert answer.results[7].error.metadata["limit"].endswith(" bytes")
    assert served.metric("images_total", result="ok") == 3
    assert served.metric("images_total", result="image_too_large") == 3


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # broken EXIF
def test_no_file_of_a_stranger_changes_the_vector_of_another(served, picture, encode):
    good = encode(picture, "JPEG")
    (alone,) = served.stub.Embed(request(good)).results
    files = [image for image in corpus() if len(image.content) < 100_000]

    for at in range(0, len(files), 31):
        some = files[at : at + 31]
        contents = [content for image in some for content in (image.content, good)]
        results = served.stub.Embed(request(*contents)).results
        assert all(result == alone for result in results[1::2])
        for image, result in zip(some, results[::2], strict=True):
            assert result.HasField("error") is (image.result != OK)


def test_a_call_of_only_bad_images_is_answered_without_the_model(served):
    answer = served.stub.Embed(request(b"no", b"image"))

    assert [result.HasField("error") for result in answer.results] == [True, True]
    assert answer.timings.forward_micros == 0
    assert served.metric("batch_images_count") == 0


def test_regions_of_an_image_come_back_in_their_order(served, picture, encode):
    halves = [pb.Region(right=1, bottom=0.5), pb.Region(top=0.5, right=1, bottom=1)]
    image = pb.Image(content=encode(picture, "PNG"), regions=halves)
    (result,) = served.stub.Embed(pb.EmbedRequest(images=[image])).results

    boxes = [(0, 0, 300, 200), (0, 200, 300, 400)]
    cut = request(*(encode(picture.crop(box), "PNG") for box in boxes))
    expected = [vectors(alone)[0] for alone in served.stub.Embed(cut).results]

    assert np.array_equal(vectors(result), expected)
    assert served.metric("decode_seconds_count") == 3


def test_a_bad_region_fails_its_image_alone(served, picture, encode):
    content = encode(picture, "PNG")
    bad = pb.Image(content=content, regions=[pb.Region(left=0.9, right=0.1, bottom=1)])

    answer = served.stub.Embed(pb.EmbedRequest(images=[pb.Image(content=content), bad]))

    assert len(answer.results[0].embeddings) == 1
    assert answer.results[1].error.reason == ErrorReason.ERROR_REASON_INVALID_REGION
    assert answer.results[1].error.message.startswith("images[1].regions: expected 0 <= left")


@pytest.mark.parametrize(
    ("bad", "field", "message"),
    [
        (pb.EmbedRequest(), "images", "images: expected 1 to 64, got 0"),
        (request(*[b"x"] * 65), "images", "images: expected 1 to 64, got 65"),
        (
            pb.EmbedRequest(images=[pb.Image(), pb.Image(regions=[pb.Region()] * 17)]),
            "images[1].regions",
            "images[1].regions: expected at most 16, got 17",
        ),
        (request(b"x", priority=9), "priority", "priority: expected ONLINE or BULK, got 9"),
    ],
)
def test_a_request_that_cannot_be_served_is_refused_by_its_field(served, bad, field, message):
    with pytest.raises(grpc.RpcError) as error:
        served.stub.Embed(bad)

    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error.value.details() == message
    assert served.refusal(error.value).reason == "INVALID_FIELD"
    assert served.refusal(error.value).metadata["field"] == field


def test_calls_at_the_same_time_share_batches(served, draw, encode):
    contents = [encode(draw(number), "JPEG") for number in range(7)]
    served.model.free.clear()
    first = served.stub.Embed.future(request(contents[0]))
    assert served.model.entered.acquire(timeout=20)
    others = [served.stub.Embed.future(request(content)) for content in contents[1:]]
    served.until(lambda: served.metric("queue_images", priority="online") == 6)
    served.model.free.set()

    answers = [call.result() for call in (first, *others)]
    alone = [served.stub.Embed(request(content)) for content in contents]

    assert [a.results[0] for a in answers] == [a.results[0] for a in alone]
    assert served.metric("batch_images_sum") == 14
    assert served.metric("batch_images_count") == 9  # 1, 6 together, then 7 alone


def test_a_full_queue_refuses_at_once_with_the_time_to_come_back(served, picture, encode):
    content = encode(picture, "JPEG")
    served.model.free.clear()
    calls = [served.stub.Embed.future(request(content))]
    assert served.model.entered.acquire(timeout=20)
    calls += [served.stub.Embed.future(request(*[content] * 16))]
    served.until(lambda: served.metric("queue_images", priority="online") == 16)
    with pytest.raises(grpc.RpcError) as error:
        served.stub.Embed(request(content))
    served.model.free.set()

    assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert served.refusal(error.value).reason == "OVERLOADED"
    assert int(dict(error.value.trailing_metadata())["grpc-retry-pushback-ms"]) > 0
    assert [len(call.result().results) for call in calls] == [1, 16]


def test_a_call_that_is_cancelled_leaves_the_queue(served, picture, encode):
    content = encode(picture, "JPEG")
    served.model.free.clear()
    first = served.stub.Embed.future(request(content))
    assert served.model.entered.acquire(timeout=20)
    gone = served.stub.Embed.future(request(*[content] * 8))
    served.until(lambda: served.metric("queue_images", priority="online") == 8)
    gone.cancel()
    served.until(lambda: served.metric("queue_images", priority="online") == 0)
    served.model.free.set()

    assert len(first.result().results) == 1
    assert len(served.stub.Embed(request(content)).results) == 1
    assert served.metric("batch_images_sum") == 2


def test_a_client_that_dies_takes_its_calls_along(served, picture, encode):
    content = encode(picture, "JPEG")
    served.model.free.clear()
    with grpc.insecure_channel(served.address) as channel:
        stub = pb_grpc.EmbedderServiceStub(channel)
        calls = [stub.Embed.future(request(content))]
        assert served.model.entered.acquire(timeout=20)
        calls += [stub.Embed.future(request(content)) for _ in range(10)]
        served.until(lambda: served.metric("queue_images", priority="online") == 10)
    served.until(lambda: served.metric("queue_images", priority="online") == 0)
    served.model.free.set()
    served.until(lambda: served.in_flight() == 0)

    assert len(served.stub.Embed(request(content)).results) == 1
    assert served.metric("batch_images_sum") == 2  # the one that was on the device, and this one


def test_ten_times_too_many_calls_are_answered_or_told_when_to_come_back(served, picture, encode):
    content = encode(picture, "JPEG")
    served.model.free.clear()
    with ExitStack() as stack:  # a connection takes 100 calls at once
        channels = [grpc.insecure_channel(served.address, OWN_CONNECTION) for _ in range(8)]
        stubs = [pb_grpc.EmbedderServiceStub(stack.enter_context(each)) for each in channels]
        calls = [stub.Embed.future(request(content)) for stub in stubs for _ in range(100)]
        served.until(lambda: sum(call.done() for call in calls) == 720)
        told = [call for call in calls if call.done()]
        served.model.free.set()
        answered = [call for call in calls if call.code() is grpc.StatusCode.OK]

    assert len(answered) == 80  # 16 threads and 64 places to wait for them
    assert {call.code().name for call in told} == {"RESOURCE_EXHAUSTED"}
    for call in told:
        assert served.refusal(call).reason == "OVERLOADED"
        assert int(dict(call.trailing_metadata())["grpc-retry-pushback-ms"]) > 0
    assert served.metric("images_total", result="ok") == len(answered)
    assert len(served.stub.Embed(request(content)).results) == 1
    served.until(lambda: served.in_flight() == 0)


def test_thousands_of_tiny_calls_lose_no_place(served, encode):
    content = encode(Image.new("RGB", (1, 1)), "PNG")

    def call(_: int) -> int:
        return len(served.stub.Embed(request(content)).results)

    with ThreadPoolExecutor(12) as callers:
        assert sum(callers.map(call, range(2000))) == 2000
    served.until(lambda: served.in_flight() == 0)

    assert served.metric("batch_images_sum") == 2000
    assert served.metric("queue_images", priority="online") == 0


def test_a_stop_in_the_middle_lets_running_calls_finish(served, picture, encode):
    content = encode(picture, "JPEG")
    served.model.free.clear()
    calls = [served.stub.Embed.future(request(content))]
    assert served.model.entered.acquire(timeout=20)
    calls += [served.stub.Embed.future(request(content)) for _ in range(3)]
    served.until(lambda: served.metric("queue_images", priority="online") == 3)
    stopping = threading.Thread(target=served.server.stop)
    stopping.start()
    served.model.free.set()
    stopping.join()

    assert [len(call.result().results) for call in calls] == [1] * 4


def test_a_deadline_that_cannot_be_met_is_refused_before_decoding(served, picture, encode):
    content = encode(picture, "JPEG")

    with pytest.raises(grpc.RpcError) as error:  # 8 batches of 2 s each, by the stand-in's pace
        served.stub.Embed(request(*[content] * 64), timeout=10)

    assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert served.refusal(error.value).reason == "DEADLINE_TOO_SHORT"
    assert served.refusal(error.value).metadata["predicted_ms"] == "16000"
    assert served.metric("decode_seconds_count") == 0
    assert len(served.stub.Embed(request(content), timeout=10).results) == 1


def test_an_answer_beyond_what_clients_receive_is_refused_before_any_work(served):
    served.info.dimension = 2048
    image = pb.Image(content=b"x", regions=[pb.Region(right=1, bottom=1)] * 16)

    with pytest.raises(grpc.RpcError) as error:
        served.stub.Embed(pb.EmbedRequest(images=[image] * 64))

    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert served.refusal(error.value).reason == "ANSWER_TOO_LARGE"
    assert served.refusal(error.value).metadata == {"field": "images", "limit": "503"}


def test_a_model_that_fails_is_an_internal_error_without_its_words(served, picture, encode):
    content = encode(picture, "JPEG")
    served.model.fails = True
    with pytest.raises(grpc.RpcError) as error:
        served.stub.Embed(request(content))
    served.model.fails = False

    assert error.value.code() is grpc.StatusCode.INTERNAL
    assert "0x7f" not in error.value.details()
    assert served.refusal(error.value).reason == "INTERNAL"
    assert len(served.stub.Embed(request(content)).results) == 1


def test_regions_count_as_images_before_they_are_read(served, picture, encode):
    halves = [pb.Region(right=1, bottom=0.5), pb.Region(top=0.5, right=1, bottom=1)]
    image = pb.Image(content=encode(picture, "PNG"), regions=halves)

    with pytest.raises(grpc.RpcError) as error:  # 16 images: two batches of 2 s each
        served.stub.Embed(pb.EmbedRequest(images=[image] * 8), timeout=3)

    assert served.refusal(error.value).metadata["predicted_ms"] == "4000"
    assert served.metric("decode_seconds_count") == 0


def test_calls_that_hold_too_many_bytes_together_are_refused_before_decoding(
    served, picture, encode
):
    content = encode(picture, "JPEG")
    served.model.free.clear()
    held = served.stub.Embed.future(request(content, *[bytes(1 << 19)] * 7))
    assert served.model.entered.acquire(timeout=20)
    with pytest.raises(grpc.RpcError) as error:
        served.stub.Embed(request(content, bytes(1 << 19)))
    served.model.free.set()

    assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert error.value.details().startswith("bytes: expected at most 4194304 in calls that run")
    assert int(dict(error.value.trailing_metadata())["grpc-retry-pushback-ms"]) > 0
    assert len(held.result().results) == 8
    assert len(served.stub.Embed(request(content)).results) == 1


def test_the_info_says_what_runs(served):
    info = served.stub.GetInfo(pb.GetInfoRequest())

    assert (info.space_id, info.dimension, info.architecture) == (
        served.info.space_id,
        DIMENSION,
        "quarters",
    )
