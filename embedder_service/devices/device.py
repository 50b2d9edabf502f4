"""What serving needs of a device, whichever engine drives it."""

from __future__ import annotations

from typing import Protocol

from embedder_service.images import Pixels
from embedder_service.pace import Pace
from embedder_service.passes import Launch
from embedder_service.pending import Vectors


class Device(Protocol):
    """The model where it computes: numpy in, numpy out. For one thread.

    `name` is as "cpu" or "cuda: NVIDIA H200", `engine` and `precision` as in the configuration.
    """

    @property
    def name(self) -> str: ...

    @property
    def engine(self) -> str: ...

    @property
    def precision(self) -> str: ...

    def warm_up(self, max_batch: int) -> Pace:
        """Called once, first: runs the least and the most and sizes between, and times them.

        Raises ModelError if the largest does not fit the device.
        """

    def embed(self, images: Pixels) -> Vectors:
        """uint8 [n, 3, crop, crop], n from 1 to max_batch -> float32 [n, d], each of length 1."""

    @property
    def launch(self) -> Launch | None:
        """Begins what `embed` does, where the device can be handed more while it computes."""


class Unavailable(Exception):
    """An engine that this machine or installation cannot run; the text says what it lacks."""
