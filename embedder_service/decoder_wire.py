"""What the service and a decoder's process tell each other.

A line of JSON and files one way, a line of JSON and pixels in memory that both map the other: a
decoder that a file has taken over can only lie about pictures here.
"""

from __future__ import annotations

import json
import mmap
import os
import socket
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from embedder_service.decoder import MOST_TOGETHER, Decoded, Job
from embedder_service.image_header import BrokenImage, ImageHeader
from embedder_service.images import MAX_REGIONS, InvalidRegion, Photo, Pixels, Region
from embedder_service.spec import Preprocessing
from lookalike_kit.errors import ServiceError

_MOST_SQUARES = MAX_REGIONS * MOST_TOGETHER  # those that are not touched cost nothing
_MOST_JOINED_BYTES = 1 << 20  # a copy is cheaper than the next call of the kernel
_MOST_SECONDS = 3600.0
_LENGTH = struct.Struct("<I")
_LINE_BYTES = 1 << 16
_MOST_LINE_BYTES = 1 << 20
_MESSAGE_CHARACTERS = 500
_ERRORS: dict[str, type[ServiceError] | type[MemoryError]] = {
    kind.__name__: kind for kind in (BrokenImage, InvalidRegion, MemoryError)
}


class Asking:
    """The service's end: jobs in, what became of them out."""

    def __init__(self, channel: socket.socket, slab: int, preprocessing: Preprocessing) -> None:
        self._channel = channel
        self._side = preprocessing.crop
        self._slab = memoryview(mmap.mmap(slab, slab_bytes(preprocessing)))

    def ask(self, jobs: Sequence[Job]) -> list[Decoded]:
        """Raises whatever comes of a process that has ended, or that answers something else."""
        self._send(jobs)
        told = _told(self._channel)
        counts = [
            job.photo.squares if each["error"] is None else 0
            for job, each in zip(jobs, told, strict=True)
        ]
        decoded = []
        at = 0
        for each, count in zip(told, counts, strict=True):
            end = at + count * 3 * self._side * self._side
            # A copy for each job: one that waits must not keep the others' pixels. Numpy would let
            # go of the interpreter's lock for it.
            pixels = np.frombuffer(bytearray(self._slab[at:end]), np.uint8)
            decoded.append(_decoded(each, list(pixels.reshape(count, 3, self._side, self._side))))
            at = end
        return decoded

    def _send(self, jobs: Sequence[Job]) -> None:
        line = json.dumps([_job_line(job) for job in jobs]).encode()
        pieces = [_LENGTH.pack(len(line)), line, *(job.photo.content for job in jobs)]
        if sum(map(len, pieces)) < _MOST_JOINED_BYTES:
            pieces = [b"".join(pieces)]
        for piece in pieces:
            self._channel.sendall(piece)


class Served:
    """The decoder's end."""

    def __init__(self, channel: socket.socket, slab: int) -> None:
        self._channel = channel
        self._pixels = np.frombuffer(mmap.mmap(slab, os.fstat(slab).st_size), np.uint8)

    def jobs(self) -> list[Job] | None:
        """The next ones; None where the service is gone."""
        try:
            (length,) = _LENGTH.unpack(self._received(_LENGTH.size))
            told = json.loads(self._received(length))
            return [_job(each, self._received(each["bytes"])) for each in told]
        except (EOFError, OSError):
            return None

    def answer(self, decoded: Sequence[Decoded]) -> None:
        at = 0
        for each in decoded:
            for square in each.squares if isinstance(each.squares, list) else ():
                self._pixels[at : at + square.size] = square.reshape(-1)
                at += square.size
        line = json.dumps([_line(each) for each in decoded])
        self._channel.sendall(line.encode() + b"\n")

    def _received(self, size: int) -> bytes:
        received = b""
        while len(received) < size:
            piece = self._channel.recv(size - len(received), socket.MSG_WAITALL)
            if not piece:
                raise EOFError
            received += piece
        return received


def slab_bytes(preprocessing: Preprocessing) -> int:
    """What both map: room for all squares of jobs that go together."""
    return _MOST_SQUARES * 3 * preprocessing.crop**2


def _job_line(job: Job) -> dict[str, Any]:
    return {
        "bytes": len(job.photo.content),
        # Not dataclasses.astuple, which copies deeply: 10 us.
        "header": list(vars(job.header).values()),
        "regions": [list(vars(region).values()) for region in job.photo.regions],
    }


def _job(told: dict[str, Any], content: bytes) -> Job:
    regions = tuple(Region(*edges) for edges in told["regions"])
    return Job(Photo(content, regions), ImageHeader(*told["header"]))


def _line(decoded: Decoded) -> dict[str, Any]:
    error = None if isinstance(decoded.squares, list) else decoded.squares
    return {
        "seconds": decoded.seconds,
        "cpu_seconds": decoded.cpu_seconds,
        "error": error and [type(error).__name__, str(error)[:_MESSAGE_CHARACTERS]],
    }


def _told(channel: socket.socket) -> list[dict[str, Any]]:
    line = b""
    while not line.endswith(b"\n"):
        piece = channel.recv(_LINE_BYTES)
        if not piece or len(line) > _MOST_LINE_BYTES:
            raise EOFError
        line += piece
    told: list[dict[str, Any]] = json.loads(line.decode())
    return told


def _decoded(told: dict[str, Any], squares: list[Pixels]) -> Decoded:
    error = told["error"]
    outcome = squares if error is None else _ERRORS[error[0]](_words(error[1]))
    return Decoded(outcome, _seconds(told["seconds"]), _seconds(told["cpu_seconds"]))


def _words(told: object) -> str:
    return str(told)[:_MESSAGE_CHARACTERS].encode(errors="replace").decode()


def _seconds(told: object) -> float:
    """What waits for turns is predicted by these: no lie of a decoder's may last."""
    if not isinstance(told, float) or not 0 <= told < _MOST_SECONDS:
        raise ValueError(f"seconds: expected a time, got {told!r}")
    return told
