"""A decoder in a process of its own, replaced when a file has ended it."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Callable, Sequence

from embedder_service.decoder import Decoded, DecodersLost, Job
from embedder_service.decoder_wire import Asking, slab_bytes
from embedder_service.image_header import BrokenImage
from embedder_service.nursery import Nursery
from embedder_service.spec import Preprocessing
from lookalike_kit import logs

log = logs.get(__name__)


class Apart:
    """on_death: a process has ended in the middle of a file. on_lost: and there are no others."""

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
        self._asking = self._born()
        self._asking.ask(())  # it is there when it answers

    def decode(self, jobs: Sequence[Job]) -> list[Decoded]:
        try:
            return self._asking.ask(jobs)
        except Exception:  # noqa: BLE001 - whatever a process does that a file has broken
            self._replace(len(jobs))
        return [self._alone(job) for job in jobs]

    def close(self) -> None:
        """Its process ends."""
        self._asking.close()

    def _alone(self, job: Job) -> Decoded:
        try:
            (decoded,) = self._asking.ask((job,))
        except Exception:  # noqa: BLE001 - as above
            self._replace(1)
            what = f"a whole {job.header.format} file, got one that ends its decoder"
            return Decoded(BrokenImage(f"content: expected {what}"), 0.0, 0.0)
        return decoded

    def _replace(self, files: int) -> None:
        log.error("decoder_died", files=files)
        self._on_death()
        self._asking.close()
        try:
            self._asking = self._born()
        except OSError as error:
            log.error("decoders_lost", error=str(error))
            self._on_lost()
            raise DecodersLost("no process to decode in is left, and this replica ends") from error

    def _born(self) -> Asking:
        """Raises OSError."""
        ours, its = socket.socketpair()
        slab = os.memfd_create("squares", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(slab, slab_bytes(self._preprocessing))
            # Where it shrank, reading it would end the reader.
            seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
            fcntl.fcntl(slab, fcntl.F_ADD_SEALS, seals)
            self._nursery.bear(self._preprocessing, its, slab)
            return Asking(ours, slab, self._preprocessing)
        except OSError:
            ours.close()
            raise
        finally:
            its.close()
            os.close(slab)
