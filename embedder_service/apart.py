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

from embedder_service.decoder import MOST_TOGETHER, Decoded, DecodersLost, Job
from embedder_service.decoder_wire import Asking, slab_bytes
from embedder_service.image_header import BrokenImage
from embedder_service.nursery import PATIENCE_SECONDS, Nursery
from embedder_service.spec import Preprocessing
from lookalike_kit import logs

log = logs.get(__name__)

_PAUSES = (0.1, 0.5, 1.0)
_END_SECONDS = 1.0

_SILENCE = struct.pack("ll", (MOST_TOGETHER + 1) * PATIENCE_SECONDS, 0)


class Apart:
    """on_death: a process has ended in the middle of a file. on_lost: and there are no others.

    Raises DecodersLost where there is none to begin with.
    """

    def __init__(
        self,
        nursery: Nursery,
        preprocessing: Preprocessing,
        on_death: Callable[[], object],
        on_lost: Callable[[], object],
    ) -> None:
        self._nursery = nursery
        self._preprocessing = preprocessing
        self._on_death = on_death
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
            return Decoded(BrokenImage(f"content: expected {what}"), 0.0, 0.0)
        return decoded[0]

    def _asked(self, jobs: Sequence[Job]) -> list[Decoded] | None:
        """None: they have ended a process, of which there is another now."""
        try:
            return self._process.ask(jobs)
        except MemoryError as error:  # the service's own: what was asked is not answered
            self._replace(len(jobs), error)
            return [Decoded(MemoryError(str(error)), 0.0, 0.0) for _ in jobs]
        except Exception as error:  # noqa: BLE001 - whatever a process does that a file has broken
            self._replace(len(jobs), error)
            return None

    def _replace(self, files: int, why: Exception) -> None:
        log.error("decoder_died", files=files, error=repr(why))
        self._on_death()
        self._process.close()
        try:
            self._process = self._born()
        except DecodersLost:
            self._on_lost()
            raise

    def _born(self) -> _Process:
        """Tries again for a while: memory, or a process's place, may be short for a moment."""
        for pause in _PAUSES:
            try:
                return _Process(self._nursery, self._preprocessing)
            except Exception as error:  # noqa: BLE001 - a newborn may say anything
                log.warning("decoder_not_born", error=repr(error))
            time.sleep(pause)
        log.error("decoders_lost")
        raise DecodersLost("no process to decode in is left, and this replica ends")


class _Process:
    """Raises whatever keeps it from being there."""

    def __init__(self, nursery: Nursery, preprocessing: Preprocessing) -> None:
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
            # The kernel's own limits cost no call of it; it is silent for longer than any file may
            # take it, all that go together.
            for side in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
                ours.setsockopt(socket.SOL_SOCKET, side, _SILENCE)
            # By a descriptor, for another process may get its number.
            at_end.callback(_end, os.pidfd_open(nursery.bear(preprocessing, its, slab)))
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
