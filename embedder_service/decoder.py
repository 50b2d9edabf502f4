"""What decodes images for the reader: on the thread that asks, or in a process of its own."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from embedder_service import images
from embedder_service.image_header import BrokenImage, ImageHeader
from embedder_service.images import Photo, Pixels
from embedder_service.spec import Preprocessing
from embedder_service.squares import square
from lookalike_kit.errors import ServiceError

Squares = list[Pixels] | ServiceError

MOST_TOGETHER = 8  # jobs
# Above this a picture that is decoded in full may take 200 to 600 MB.
LARGE_PIXELS = 16_000_000


class DecodersLost(Exception):
    """Nothing decodes any more in this process."""


class EndsDecoders(BrokenImage):
    """A file that has ended a decoder's process by itself."""


@dataclass(frozen=True)
class Job:
    """A photo whose header was checked."""

    photo: Photo
    header: ImageHeader


@dataclass(frozen=True)
class Decoded:
    """A job's squares, or why it has none, and how long that took."""

    squares: Squares | MemoryError
    seconds: float
    cpu_seconds: float


class Decoder(Protocol):
    """For one thread."""

    def decode(self, jobs: Sequence[Job]) -> list[Decoded]:
        """Each fails alone. Raises DecodersLost."""


class Here:
    """Decodes on the thread that asks."""

    def __init__(self, preprocessing: Preprocessing) -> None:
        self._preprocessing = preprocessing
        # Now, not with the first image: loading what resizes takes seconds.
        square(np.zeros((1, 1, 3), np.uint8), preprocessing)

    def decode(self, jobs: Sequence[Job]) -> list[Decoded]:
        return [self._decoded(job) for job in jobs]

    def _decoded(self, job: Job) -> Decoded:
        began, cpu = time.perf_counter(), time.thread_time()
        squares = self._squares(job)
        return Decoded(squares, time.perf_counter() - began, time.thread_time() - cpu)

    def _squares(self, job: Job) -> Squares | MemoryError:
        try:
            content, regions = job.photo.content, job.photo.regions
            return images.decode(content, job.header, self._preprocessing, regions)
        except ServiceError as error:
            return bare(error)
        except (MemoryError, RuntimeError) as error:  # PyTorch's is one of these
            return MemoryError(str(error))


def bare(error: ServiceError) -> ServiceError:
    """Without the frames it came through, which hold the picture: 200 MB each in a call of many."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)
