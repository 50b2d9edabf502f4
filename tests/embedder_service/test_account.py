"""What a call's line in the log tells of an Embed call."""

import grpc
import pytest
from lookalike.embedder.v1 import embedder_pb2 as pb


@pytest.fixture
def told(lines):
    """The one call's line."""

    def told():
        [line] = [each for each in lines() if each["event"] == "call"]
        return line

    return told


def test_an_answer_says_its_space_how_many_images_and_where_the_time_went(
    served, picture, encode, told
):
    good = encode(picture, "JPEG")
    box = pb.Region(left=0.0, top=0.0, right=0.5, bottom=0.5)
    answer = served.stub.Embed(
        pb.EmbedRequest(
            images=[pb.Image(content=good, regions=[box, box]), pb.Image(content=b"none")],
            priority=pb.PRIORITY_BULK,
        ),
        timeout=20,
    )

    line = told()
    assert (line["space_id"], line["code"]) == (served.info.space_id, "OK")
    assert (line["images"], line["vectors"], line["priority"]) == (2, 3, "bulk")
    assert line["images_refused"] == {"unsupported_image": 1}
    assert list(line["stage_micros"]) == ["admission", "decode", "queue", "forward"]
    assert line["stage_micros"]["decode"] == answer.timings.decode_micros


def test_a_call_that_was_refused_says_how_much_it_asked_for(served, picture, encode, told):
    images = [pb.Image(content=encode(picture, "PNG"))] * 17
    served.embedder.batcher.stop()

    with pytest.raises(grpc.RpcError):
        served.stub.Embed(pb.EmbedRequest(images=images), timeout=20)

    line = told()
    assert (line["why"], line["reason"], line["images"]) == ("failed", "SHUTTING_DOWN", 17)
    assert "decode" not in line["stage_micros"]
