"""The Open Inference Protocol over a real port, by its stubs; the model is a stand-in."""

import struct
import threading

import grpc
import numpy as np
import pytest
from lookalike.embedder.v1 import embedder_pb2
from lookalike.inference import open_inference_pb2 as pb

Input = pb.ModelInferRequest.InferInputTensor
Output = pb.ModelInferRequest.InferRequestedOutputTensor
Parameter = pb.InferParameter


def typed(*contents: bytes, **fields: object) -> pb.ModelInferRequest:
    tensor = Input(name="images", datatype="BYTES", shape=[len(contents)])
    tensor.contents.bytes_contents.extend(contents)
    return pb.ModelInferRequest(model_name="lookalike", inputs=[tensor], **fields)


def raw(*contents: bytes, **fields: object) -> pb.ModelInferRequest:
    tensor = Input(name="images", datatype="BYTES", shape=[len(contents)])
    elements = b"".join(struct.pack("<I", len(content)) + content for content in contents)
    return pb.ModelInferRequest(
        model_name="lookalike", inputs=[tensor], raw_input_contents=[elements], **fields
    )


def changed(**fields: object) -> pb.ModelInferRequest:
    """A sound request of two images, but for one field of its input."""
    request = typed(b"a", b"b")
    request.inputs[0].MergeFrom(Input(**fields))
    return request


@pytest.fixture
def photos(draw, encode) -> list[bytes]:
    return [encode(draw(number), "JPEG") for number in range(3)]


@pytest.fixture
def expected(served, photos) -> np.ndarray:
    """What the other face says."""
    images = [embedder_pb2.Image(content=photo) for photo in photos]
    results = served.stub.Embed(embedder_pb2.EmbedRequest(images=images)).results
    return np.stack([np.frombuffer(result.embeddings[0].values, "<f4") for result in results])


def test_typed_contents_are_answered_by_typed_contents(served, photos, expected):
    answer = served.inference.ModelInfer(typed(*photos, id="call-7"))

    (output,) = answer.outputs
    assert (output.name, output.datatype, list(output.shape)) == ("embeddings", "FP32", [3, 12])
    assert np.array_equal(np.float32(output.contents.fp32_contents).reshape(3, 12), expected)
    assert not answer.raw_output_contents
    assert (answer.model_name, answer.id) == ("lookalike", "call-7")
    assert answer.model_version == served.info.space_id


def test_raw_contents_are_answered_by_raw_contents(served, photos, expected):
    answer = served.inference.ModelInfer(raw(*photos, outputs=[Output(name="embeddings")]))

    (output,) = answer.outputs
    assert list(output.shape) == [3, 12]
    assert not output.HasField("contents")
    assert np.array_equal(np.frombuffer(answer.raw_output_contents[0], "<f4"), expected.ravel())


def test_the_model_answers_by_the_name_of_its_space_too(served, photos):
    space = served.info.space_id
    request = typed(photos[0], model_version=space)
    request.model_name = space

    assert served.inference.ModelInfer(request).model_name == space
    assert served.inference.ModelReady(pb.ModelReadyRequest(name=space)).ready is True


def test_bad_images_fail_their_call_before_the_device_and_each_is_told(served, photos):
    with pytest.raises(grpc.RpcError) as error:
        served.inference.ModelInfer(typed(photos[0], b"", photos[1][:-500], photos[2]))

    told = error.value.details()
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert told.startswith("inputs[0]: expected images that can be read, got others at 1, 2: [1] ")
    assert "; [2] content: expected a whole JPEG file" in told
    assert served.refusal(error.value).reason == "UNSUPPORTED_IMAGE"
    assert served.refusal(error.value).metadata == {"field": "inputs[0]", "position": "1"}
    assert served.metric("batch_images_count") == 0
    assert served.metric("images_total", result="unsupported_image") == 1
    assert served.metric("images_total", result="broken_image") == 1


def test_all_positions_are_told_however_many_images_are_bad(served):
    with pytest.raises(grpc.RpcError) as error:
        served.inference.ModelInfer(typed(*[b"text"] * 64))

    assert f"at {', '.join(map(str, range(64)))}: [0] " in error.value.details()


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (pb.ModelInferRequest(), "inputs: expected one, 'images', got 0"),
        (
            pb.ModelInferRequest(inputs=[Input(name="images"), Input(name="boxes")]),
            "inputs: expected one, 'images', got 2",
        ),
        (changed(name="image"), "inputs[0].name: expected 'images', got 'image'"),
        (
            changed(datatype="UINT8"),
            "inputs[0].datatype: expected 'BYTES', image files, got 'UINT8'",
        ),
        (changed(shape=[1]), "inputs[0].shape: expected [N], N from 1 to 64, got [2, 1]"),
        (typed(), "inputs[0].shape: expected [N], N from 1 to 64, got [0]"),
        (typed(*[b"x"] * 65), "inputs[0].shape: expected [N], N from 1 to 64, got [65]"),
        (
            changed(parameters={"shared_memory_region": Parameter(string_param="x")}),
            (
                "inputs[0].parameters: expected none, others are not supported, "
                "got shared_memory_region"
            ),
        ),
        (
            changed(contents=pb.InferTensorContents(fp32_contents=[1.0])),
            "inputs[0].contents: expected bytes_contents alone, got fp32_contents",
        ),
        (
            changed(contents=pb.InferTensorContents(bytes_contents=[b"c"])),
            "inputs[0].contents.bytes_contents: expected 2 as the shape says, got 3",
        ),
        (
            typed(b"a", raw_input_contents=[b"\1\0\0\0a"]),
            "inputs[0].contents: expected none beside raw_input_contents, got some",
        ),
        (
            typed(b"a", outputs=[Output(name="classes")]),
            "outputs[0].name: expected 'embeddings', got 'classes'",
        ),
        (
            typed(b"a", outputs=[Output(name="embeddings")] * 2),
            "outputs: expected none or one, 'embeddings', got 2",
        ),
        (
            typed(
                b"a",
                outputs=[
                    Output(
                        name="embeddings", parameters={"classification": Parameter(int64_param=3)}
                    )
                ],
            ),
            "outputs[0].parameters: expected none, others are not supported, got classification",
        ),
        (
            typed(b"a", parameters={"timeout": Parameter(int64_param=9)}),
            "parameters: expected priority, others are not supported, got timeout",
        ),
        (
            typed(b"a", parameters={"priority": Parameter(string_param="bulk")}),
            (
                "parameters[priority]: expected a whole number, 0 or 1 (online) or 2 (bulk), "
                "got 'bulk'"
            ),
        ),
    ],
    ids=lambda value: value.split(": ")[0] if isinstance(value, str) else "",
)
def test_a_request_of_another_form_is_refused_in_plain_words(served, bad, message):
    bad.model_name = "lookalike"
    with pytest.raises(grpc.RpcError) as error:
        served.inference.ModelInfer(bad)

    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error.value.details() == message
    assert served.refusal(error.value).reason == "INVALID_FIELD"


@pytest.mark.parametrize(
    "elements",
    [b"", b"\1\0\0", b"\2\0\0\0a", b"\xff\xff\xff\xffa", b"\1\0\0\0ab", b"\1\0\0\0a\0\0\0\0"],
    ids=["none", "half a length", "too short", "4 GB", "too long", "one more"],
)
def test_raw_elements_that_do_not_fit_their_lengths_are_refused(served, elements):
    request = raw(b"a")
    request.raw_input_contents[0] = elements

    with pytest.raises(grpc.RpcError) as error:
        served.inference.ModelInfer(request)

    assert error.value.details().startswith(
        "raw_input_contents[0]: expected 1 times a length of 4 bytes, little-endian, and so many"
    )


def test_raw_contents_of_more_inputs_than_there_are_is_refused(served):
    request = raw(b"a")
    request.raw_input_contents.append(b"")

    with pytest.raises(grpc.RpcError, match="raw_input_contents: expected one, as inputs, got 2"):
        served.inference.ModelInfer(request)


@pytest.mark.parametrize(
    ("name", "version", "field"),
    [("resnet", "", "name"), ("", "", "name"), ("lookalike", "1", "version")],
)
def test_another_model_is_not_found_by_any_call(served, name, version, field):
    calls = [
        lambda: served.inference.ModelReady(pb.ModelReadyRequest(name=name, version=version)),
        lambda: served.inference.ModelMetadata(pb.ModelMetadataRequest(name=name, version=version)),
        lambda: served.inference.ModelInfer(
            pb.ModelInferRequest(model_name=name, model_version=version)
        ),
    ]
    for call in calls:
        with pytest.raises(grpc.RpcError) as error:
            call()

        assert error.value.code() is grpc.StatusCode.NOT_FOUND
        assert served.refusal(error.value).reason == "UNKNOWN_MODEL"
        assert served.refusal(error.value).metadata["field"].endswith(field)
        assert served.refusal(error.value).metadata["served"] == served.info.space_id


def test_the_metadata_says_what_to_send_and_what_comes(served):
    server = served.inference.ServerMetadata(pb.ServerMetadataRequest())
    model = served.inference.ModelMetadata(pb.ModelMetadataRequest(name="lookalike"))

    assert (server.name, server.version) == ("lookalike-embedder", "1.2.3")
    assert list(model.versions) == [served.info.space_id]
    assert [(t.name, t.datatype, list(t.shape)) for t in (*model.inputs, *model.outputs)] == [
        ("images", "BYTES", [-1]),
        ("embeddings", "FP32", [-1, 12]),
    ]


def test_it_is_live_as_long_as_it_answers_and_ready_as_health_says(served):
    def said() -> tuple[bool, bool, bool]:
        return (
            served.inference.ServerLive(pb.ServerLiveRequest()).live,
            served.inference.ServerReady(pb.ServerReadyRequest()).ready,
            served.inference.ModelReady(pb.ModelReadyRequest(name="lookalike")).ready,
        )

    ready = said()
    served.server.set_ready(False)
    unready = said()
    served.server.set_ready(True)
    stopping = threading.Thread(target=served.server.stop, args=(20.0,))
    stopping.start()
    while (stopping_now := said()) == ready:
        pass
    served.server.request_stop()
    stopping.join()

    assert ready == (True, True, True)
    assert unready == stopping_now == (True, False, False)


def test_it_shares_the_queue_its_limits_and_its_priorities(served, photos):
    served.model.free.clear()
    first = served.inference.ModelInfer.future(typed(photos[0]))
    assert served.model.entered.acquire(timeout=20)
    bulk = {"priority": Parameter(uint64_param=2)}
    held = served.inference.ModelInfer.future(typed(*[photos[0]] * 8, parameters=bulk))
    while served.metric("queue_images", priority="bulk") < 8:
        pass
    with pytest.raises(grpc.RpcError) as full:
        served.inference.ModelInfer(typed(photos[0], parameters=bulk))
    with pytest.raises(grpc.RpcError) as late:
        served.inference.ModelInfer(raw(*photos), timeout=1.5)
    served.model.free.set()

    assert served.refusal(full.value).reason == "OVERLOADED"
    assert int(dict(full.value.trailing_metadata())["grpc-retry-pushback-ms"]) > 0
    assert served.refusal(late.value).reason == "DEADLINE_TOO_SHORT"
    assert [list(call.result().outputs[0].shape) for call in (first, held)] == [[1, 12], [8, 12]]
