"""A decoder in a process of its own, replaced when a file has ended it."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import socket
import struct
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from typing import Protocol

from embedder_service.decoder import Decoded, DecodersLost, EndsDecoders, Job
from embedder_service.decoder_wire import Asking, slab_bytes
from embedder_service.nursery import PATIENCE_SECONDS, Nursery
from embedder_service.spec import Preprocessing
from lookalike_kit import logs

log = logs.get(__name__)

_PAUSES = (0.1, 0.5, 1.0)
_END_SECONDS = 1.0

_SILENCE = struct.pack("ll", 2 * PATIENCE_SECONDS, 0)


class Observer(Protocol):
    """Who is told of a decoder's process, on the thread that asks it."""

    def decoder_died(self) -> None:
        """It has ended in the middle of a file."""

    def decoded_apart(self, cpu_seconds: float) -> None:
        """What it was asked for took it so much."""


class Unobserved:
    """Where nobody asks."""

    def decoder_died(self) -> None: ...
    def decoded_apart(self, cpu_seconds: float) -> None: ...


class Apart:
    """on_lost: its process has ended, and another cannot be had. jpegs: as JPEG_DECODER, and now.

    After a death the processor decodes: it alone decides what is broken, and the GPU may have no
    room for another context. Raises DecodersLost where there is none to begin with.
    """

    def __init__(
        self,
        nursery: Nursery,
        preprocessing: Preprocessing,
        observer: Observer,
        on_lost: Callable[[], object],
        jpegs: str = "cpu",
    ) -> None:
        self._nursery = nursery
        self.jpegs = jpegs
        self._preprocessing = preprocessing
        self._observer = observer
        self._on_lost = on_lost
        self._process = self._born()

    def decode(self, jobs: Sequence[Job]) -> list[Decoded]:
        decoded = self._asked(jobs)
        return [self._alone(job) for job in jobs] if decoded is None else decoded

    def close(self) -> None:
        """Its process ends."""
        self._process.close()

    def _alone(self, job: Job) -> Decoded:
        decoded = self._asked((job,))
        if decoded is None:
            what = f"a whole {job.header.format} file, got one that ends its decoder"
            return Decoded(EndsDecoders(f"content: expected {what}"), 0.0, 0.0)
        return decoded[0]

    def _asked(self, jobs: Sequence[Job]) -> list[Decoded] | None:
        """None: they have ended a process, of which there is another now."""
        try:
            decoded = self._process.ask(jobs)
        except MemoryError as error:  # the service's own: what was asked is not answered
            self._replace(len(jobs), error)
            return [Decoded(MemoryError(str(error)), 0.0, 0.0) for _ in jobs]
        except Exception as error:  # noqa: BLE001 - whatever a process does that a file has broken
            self._replace(len(jobs), error)
            return None
        self._observer.decoded_apart(sum(each.cpu_seconds for each in decoded))
        return decoded

    def _replace(self, files: int, why: Exception) -> None:
        log.error("decoder_died", files=files, jpegs=self.jpegs, error=repr(why))
        self.jpegs = "cpu"
        self._observer.decoder_died()
        self._process.close()
        try:
            self._process = self._born()
        except DecodersLost:
            log.error("decoders_lost")
            self._on_lost()
            raise

    def _born(self) -> _Process:
        """Tries again for a while: memory, or a process's place, may be short for a moment."""
        for pause in _PAUSES:
            try:
                return _Process(self._nursery, self._preprocessing, self.jpegs)
            except Exception as error:  # noqa: BLE001 - a newborn may say anything
                log.warning("decoder_not_born", error=repr(error))
            time.sleep(pause)
        raise DecodersLost("decoders: expected a process to decode in, got none; this replica ends")


class _Process:
    """Raises whatever keeps it from being there."""

    def __init__(self, nursery: Nursery, preprocessing: Preprocessing, jpegs: str) -> None:
        with ExitStack() as stack:
            ours, its = socket.socketpair()
            stack.callback(its.close)
            slab = os.memfd_create("squares", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
            stack.callback(os.close, slab)
            at_end = stack.enter_context(ExitStack())
            at_end.callback(ours.close)
            os.ftruncate(slab, slab_bytes(preprocessing))
            # Where it shrank, reading it would end the reader.
            seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
            fcntl.fcntl(slab, fcntl.F_ADD_SEALS, seals)
            # The kernel's own limits cost no call of it; it is silent for longer than files may
            # take it.
            for side in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
                ours.setsockopt(socket.SOL_SOCKET, side, _SILENCE)
            # By a descriptor, for another process may get its number.
            at_end.callback(_end, os.pidfd_open(nursery.bear(preprocessing, jpegs, its, slab)))
            its.close()  # or its end would never be seen
            self._asking = Asking(ours, slab, preprocessing)
            self._asking.ask(())  # it is there when it answers
            self._at_end = at_end.pop_all()

    def ask(self, jobs: Sequence[Job]) -> list[Decoded]:
        return self._asking.ask(jobs)

    def close(self) -> None:
        """Ends, whatever it does."""
        self._at_end.close()


def _end(process: int) -> None:
    """Whatever it does. Its memory and its number are free then, or as good as."""
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(process, signal.SIGKILL)
    select.select([process], [], [], _END_SECONDS)
    os.close(process)
