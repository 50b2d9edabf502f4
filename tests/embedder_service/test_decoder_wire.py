"""A decoder that a file has taken over may answer anything."""

import json
import os
import socket

import numpy as np
import pytest

from embedder_service import images
from embedder_service.decoder import Decoded, Job
from embedder_service.decoder_wire import Asking, Served, slab_bytes
from embedder_service.images import BrokenImage, Photo, Region

HONEST = {"seconds": 0.001, "cpu_seconds": 0.001, "error": None}


@pytest.fixture
def slab(preprocessing):
    descriptor = os.memfd_create("squares")
    os.ftruncate(descriptor, slab_bytes(preprocessing))
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def ends():
    ours, its = socket.socketpair()
    ours.settimeout(0.2)
    with ours, its:
        yield ours, its


@pytest.fixture
def job(picture, encode):
    content = encode(picture.resize((30, 40)), "PNG")
    photo = Photo(content, (Region(), Region(0, 0, 0.5, 1)))
    return Job(photo, images.check(content, images.Limits()))


def test_jobs_and_what_became_of_them_come_as_they_went(ends, slab, preprocessing, job):
    asking, served = Asking(ends[0], slab, preprocessing), Served(ends[1], slab)
    squares = [np.full((3, 64, 64), shade, np.uint8) for shade in (7, 9)]
    served.answer(
        [
            Decoded(squares, 0.5, 0.25),
            Decoded(BrokenImage("content: no"), 0.5, 0.25),
            Decoded(MemoryError("none"), 0.5, 0.25),
        ]
    )

    first, second, third = asking.ask([job, job, job])

    assert served.jobs() == [job, job, job]
    assert [int(square.mean()) for square in first.squares] == [7, 9]
    assert (first.seconds, first.cpu_seconds) == (0.5, 0.25)
    assert isinstance(second.squares, BrokenImage)
    assert isinstance(third.squares, MemoryError)


@pytest.mark.parametrize(
    "told",
    [
        "NaN",
        "[]",
        json.dumps([HONEST] * 2),
        json.dumps([HONEST]).replace("0.001", "NaN"),
        json.dumps([HONEST]).replace("0.001", "-1.0"),
        json.dumps([HONEST]).replace("0.001", "1e300"),
        json.dumps([HONEST]).replace("0.001", '"soon"'),
        json.dumps([{**HONEST, "error": ["OSError", "no such kind"]}]),
        json.dumps([{**HONEST, "error": []}]),
        "x" * (2 << 20),
        "no JSON",
        "\xff",
    ],
)
def test_a_lie_is_no_answer(ends, slab, preprocessing, job, told):
    asking = Asking(ends[0], slab, preprocessing)
    ends[1].setblocking(False)
    try:
        ends[1].sendall(told.encode("latin-1") + b"\n")
    except BlockingIOError:
        ends[1].close()

    with pytest.raises((ValueError, TypeError, LookupError, EOFError, OSError)):
        asking.ask([job])


def test_silence_ends(ends, slab, preprocessing, job):
    with pytest.raises(OSError, match="timed out"):
        Asking(ends[0], slab, preprocessing).ask([job])


def test_a_decoder_ends_with_its_channel_also_in_the_middle_of_a_job(ends, slab):
    served = Served(ends[1], slab)
    ends[0].sendall(b"\x10\x00\x00\x00[")
    ends[0].close()

    assert served.jobs() is None
