"""One call's images on their way through the batches, and what becomes of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

import grpc
import numpy as np
import numpy.typing as npt
from lookalike.v1.error_reason_pb2 import ErrorReason

from embedder_service.images import Pixels
from lookalike_kit import calls
from lookalike_kit.calls import Trace
from lookalike_kit.errors import CallerGone, ServiceError

Vectors = npt.NDArray[np.float32]


class DeadlineTooShort(ServiceError):
    """The answer would come after the call's deadline."""

    status = grpc.StatusCode.RESOURCE_EXHAUSTED
    reason = ErrorReason.ERROR_REASON_DEADLINE_TOO_SHORT


class ForwardFailed(Exception):
    """The model raised on a batch that the call had images in."""


@dataclass(frozen=True)
class Embedded:
    """A call's vectors, float32 [n, d] in its order, and the longest that any of them took."""

    vectors: Vectors
    queue_seconds: float
    forward_seconds: float


class Wait(NamedTuple):
    """How long one call's images waited, and in which line; its span where it is traced."""

    bulk: bool
    seconds: float
    trace: Trace | None = None


def give_up(future: Future[Embedded] | None) -> None:
    """Settles a call that nobody waits for any longer; harmless when it is settled, or gone."""
    if future is None:
        return
    with suppress(InvalidStateError):
        future.set_exception(CallerGone("the caller gave up"))


class PendingCall:
    """One call's images: how many have gone, which vectors are back."""

    def __init__(
        self,
        images: Sequence[Pixels],
        deadline: float | None,
        submitted: float,
        bulk: bool = False,
        future: Future[Embedded] | None = None,
    ) -> None:
        self.future: Future[Embedded] = future or Future()
        self._images = images
        self.deadline = math.inf if deadline is None else deadline
        self.bulk = bulk
        self.trace = calls.trace()
        self._submitted = submitted
        self._taken = 0
        self._vectors: list[Vectors] = []
        self._queue_seconds = 0.0
        self._forward_seconds = 0.0

    @property
    def waiting(self) -> int:
        return len(self._images) - self._taken

    def still_wanted(self, at: float) -> bool:
        """Whether anybody would take an answer then. A call too late for it is settled here."""
        if at >= self.deadline:
            self.fail(DeadlineTooShort("deadline: expected to be met, passed in the queue"))
        return not self.future.done()

    def take(self, room: int, now: float) -> Part:
        images = self._images[self._taken : self._taken + room]
        self._taken += len(images)
        return Part(self, images, now - self._submitted)

    def put(self, part: Part, vectors: Vectors, forward_seconds: float) -> None:
        """The vectors of a part, in the order of taking; the last one settles the call."""
        self._vectors.append(vectors)
        self._queue_seconds = max(self._queue_seconds, part.queued_seconds)
        self._forward_seconds = max(self._forward_seconds, forward_seconds)
        if sum(map(len, self._vectors)) == len(self._images):
            parts = self._vectors
            vectors = parts[0] if len(parts) == 1 else np.concatenate(parts)
            self._settle(Embedded(vectors, self._queue_seconds, self._forward_seconds))

    def fail(self, error: Exception) -> None:
        self._settle(error)

    def _settle(self, outcome: Embedded | Exception) -> None:
        with suppress(InvalidStateError):  # the caller gave up, or an earlier batch failed
            if isinstance(outcome, Embedded):
                self.future.set_result(outcome)
            else:
                self.future.set_exception(outcome)


@dataclass(frozen=True)
class Part:
    """The images of one call that go in one batch."""

    call: PendingCall
    images: Sequence[Pixels]
    queued_seconds: float

    @property
    def wait(self) -> Wait:
        return Wait(self.call.bulk, self.queued_seconds, self.call.trace)

    def split(self, room: int) -> tuple[list[Part], list[Part]]:
        """The first images, as many as there is room for, and the rest; either may be none."""
        cut = self.images[:room], self.images[room:]
        first, rest = (
            [Part(self.call, images, self.queued_seconds)] if len(images) else [] for images in cut
        )
        return first, rest
