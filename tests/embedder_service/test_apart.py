"""Real processes, of a nursery that is no copy of this one: gRPC has threads here already."""

import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from embedder_service import apart as apart_module
from embedder_service import images
from embedder_service.apart import Apart
from embedder_service.decoder import DecodersLost, EndsDecoders, Here, Job
from embedder_service.images import InvalidRegion, Photo, Region
from embedder_service.nursery import Nursery
from lookalike_kit.errors import ServiceError
from proofs.family import children, kill
from proofs.hostile_images import corpus
from tests.waiting import until_gone

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")

NURSERY = """
import socket, sys
from embedder_service import nursery
nursery.run(socket.socket(fileno=int(sys.argv[1])))
"""


def job(content, *regions):
    return Job(Photo(content, regions), images.check(content, images.Limits()))


@contextmanager
def started():
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with its:
        command = [sys.executable, "-W", "ignore", "-c", NURSERY, str(its.fileno())]
        process = subprocess.Popen(command, pass_fds=[its.fileno()])
    with process, ours:
        yield Nursery(ours), process.pid


@pytest.fixture(scope="module")
def born():
    with started() as (nursery, pid):
        yield nursery, pid


@pytest.fixture
def nursery(born):
    return born[0]


@pytest.fixture
def youngest(born):
    """The decoder that was forked last."""
    return partial(_youngest, born[1])


class Watch:
    """The observer."""

    def __init__(self):
        self.deaths = 0
        self.cpu_seconds = 0.0
        self.lost = 0

    def decoder_died(self):
        self.deaths += 1

    def decoded_apart(self, cpu_seconds):
        self.cpu_seconds += cpu_seconds

    def decoders_lost(self):
        self.lost += 1


@pytest.fixture
def watch():
    return Watch()


@pytest.fixture
def apart(nursery, preprocessing, watch):
    decoder = Apart(nursery, preprocessing, watch, watch.decoders_lost)
    yield decoder
    decoder.close()


def _youngest(nursery):
    return max(children(nursery), default=0)


def test_pixels_are_those_of_the_service_itself(apart, picture, encode, preprocessing, watch):
    jobs = [
        job(encode(picture, "JPEG")),
        job(encode(picture, "PNG"), Region(0, 0, 0.5, 0.5), Region(0.2, 0.2, 1, 1)),
    ]

    for one, other in zip(apart.decode(jobs), Here(preprocessing).decode(jobs), strict=True):
        assert np.array_equal(one.squares, other.squares)
        assert 0 < one.seconds < 20
        assert 0 <= one.cpu_seconds < 20
    assert 0 < watch.cpu_seconds < 40


def test_hostile_files_are_told_in_the_same_words_and_their_neighbours_unharmed(
    apart, picture, encode, preprocessing, watch
):
    here, good = Here(preprocessing), job(encode(picture, "JPEG"))
    (whole,) = here.decode([good])
    jobs = []
    for image in corpus():
        try:
            jobs += [job(image.content), good]
        except ServiceError:
            continue

    for first in range(0, len(jobs), 8):
        part = jobs[first : first + 8]
        for one, other in zip(apart.decode(part), here.decode(part), strict=True):
            if isinstance(other.squares, ServiceError):
                assert type(one.squares) is type(other.squares)
                assert one.squares.message == other.squares.message
            else:
                assert np.array_equal(one.squares, other.squares)
    assert np.array_equal(apart.decode([good])[0].squares, whole.squares)
    assert watch.deaths == 0


def test_a_region_outside_is_the_callers_fault(apart, picture, encode):
    (decoded,) = apart.decode([job(encode(picture, "PNG"), Region(1, 0, 0, 1))])

    assert isinstance(decoded.squares, InvalidRegion)


def test_a_decoder_that_is_killed_is_replaced_and_its_files_are_read(
    apart, youngest, picture, encode, watch
):
    good = job(encode(picture, "JPEG"))
    kill([youngest()])

    decoded = apart.decode([good, good])

    assert [len(each.squares) for each in decoded] == [1, 1]
    assert watch.deaths == 1


def test_a_file_that_ends_every_decoder_is_broken_and_its_neighbours_are_read(
    apart, youngest, picture, encode, watch
):
    good = job(encode(picture, "JPEG"))
    large = job(encode(picture.resize((3000, 4000)), "PNG", compress_level=1))
    stop = threading.Event()

    def kill_what_is_busy():
        while not stop.is_set():
            pid = youngest()
            if _cpu_ticks(pid) >= 3:  # 30 ms into the large one
                kill([pid])
            time.sleep(0.002)

    killer = threading.Thread(target=kill_what_is_busy)
    killer.start()
    try:
        first, broken, last = apart.decode([good, large, good])
    finally:
        stop.set()
        killer.join()

    assert len(first.squares) == len(last.squares) == 1
    assert isinstance(broken.squares, EndsDecoders)
    assert "got one that ends its decoder" in broken.squares.message
    assert watch.deaths == 2


def test_a_decoder_that_never_answers_is_killed(
    nursery, youngest, preprocessing, picture, encode, watch, monkeypatch
):
    monkeypatch.setattr(apart_module, "_SILENCE", struct.pack("ll", 2, 0))
    decoder = Apart(nursery, preprocessing, watch, watch.decoders_lost)
    stopped, good = youngest(), job(encode(picture, "JPEG"))
    os.kill(stopped, signal.SIGSTOP)

    (decoded,) = decoder.decode([good])

    assert len(decoded.squares) == 1
    assert watch.deaths == 1
    until_gone([stopped])
    decoder.close()


def _cpu_ticks(pid):
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return int(fields[11]) + int(fields[12])


def test_without_a_nursery_a_death_is_the_end(watch, preprocessing, picture, encode):
    with started() as (nursery, pid):
        decoder = Apart(nursery, preprocessing, watch, watch.decoders_lost)
        kill((pid, _youngest(pid)))

        with pytest.raises(DecodersLost):
            decoder.decode([job(encode(picture, "PNG"))])
        decoder.close()
    assert watch.lost == 1


@pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="there is a GPU")
def test_without_a_gpu_no_decoder_for_one_is_born(nursery, preprocessing, watch):
    with pytest.raises(DecodersLost):
        Apart(nursery, preprocessing, watch, watch.decoders_lost, "nvjpeg")


def test_decoders_end_with_whom_they_serve(preprocessing, watch):
    with started() as (nursery, pid):
        decoder = Apart(nursery, preprocessing, watch, watch.decoders_lost)
        child = _youngest(pid)
        decoder.close()

        until_gone([child])
