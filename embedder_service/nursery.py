"""Processes that decode strangers' files, apart from the one that serves.

A file that crashes a decoder, or keeps it for a minute, ends one of these and nothing else; and
decoding does not wait for the service's own threads, nor they for it. The nursery is a copy of the
service's process from before it had threads or a device. It forks decoders when it is asked to:
each costs a few megabytes, for they share what it has loaded.
"""

from __future__ import annotations

import faulthandler
import gc
import json
import os
import signal
import socket
import warnings
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import NoReturn

import numpy as np

from embedder_service import decoder_wire
from embedder_service.decoder import Here
from embedder_service.spec import Preprocessing
from embedder_service.squares import square

# An honest file of the most pixels takes 2 s.
PATIENCE_SECONDS = 60
_MOST_BYTES = 4096
_FIRST_TO_BE_KILLED = "500"


class Nursery:
    """Where decoders come from. One per process, forked before it has threads."""

    def __init__(self, pid: int, control: socket.socket) -> None:
        self.pid = pid
        self._control = control

    @classmethod
    def fork(cls) -> Nursery:
        """Returns at once; the first decoder waits until the nursery has loaded what it needs."""
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid = os.fork()
        if pid == 0:
            run(its)
        its.close()
        return cls(pid, ours)

    def bear(self, preprocessing: Preprocessing, channel: socket.socket, slab: int) -> None:
        """Another decoder, at the other end of this channel. Raises OSError where there is none."""
        message = json.dumps(asdict(preprocessing)).encode()
        socket.send_fds(self._control, [message], [channel.fileno(), slab])

    def close(self) -> None:
        """It ends; decoders end with their channels."""
        self._control.close()


def run(control: socket.socket) -> NoReturn:
    """The nursery's own process, until the other end of its socket is closed."""
    try:
        _keep_only(control.fileno())
        # They end with their channels, not with a signal to all: calls are still answered then.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries them
        # Pillow warns of broken EXIF; a stranger's file must not write the service's log.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        square(np.zeros((1, 1, 3), np.uint8), Preprocessing(resize=32, crop=32))
        gc.freeze()  # what is collected is written to, and no longer shared
        while True:
            message, descriptors, _, _ = socket.recv_fds(control, _MOST_BYTES, 2)
            if not message:
                os._exit(0)
            if os.fork() == 0:
                control.close()
                _decode(Preprocessing(**json.loads(message)), *descriptors)
            for descriptor in descriptors:
                os.close(descriptor)
    finally:
        os._exit(1)


def _decode(preprocessing: Preprocessing, channel: int, slab: int) -> None:
    """A decoder's process: it answers jobs until its channel ends."""
    faulthandler.enable()
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_BE_KILLED)
    here = Here(preprocessing)
    served = decoder_wire.Served(socket.socket(fileno=channel), slab)
    while (jobs := served.jobs()) is not None:
        signal.alarm(PATIENCE_SECONDS)  # its default ends the process
        served.answer(here.decode(jobs))
        signal.alarm(0)
    os._exit(0)


def _keep_only(descriptor: int) -> None:
    """Whatever else the service had open, as connections, is its own."""
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.closerange(3, descriptor)
    os.closerange(descriptor + 1, os.sysconf("SC_OPEN_MAX"))
