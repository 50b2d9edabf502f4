"""Processes that decode strangers' files, apart from the one that serves.

A file that crashes a decoder, or keeps it too long, ends one of these and nothing else; and
decoding does not wait for the service's own threads, nor they for it. The nursery is a copy of the
service's process from before it had threads or a device. It forks decoders when it is asked to:
each costs a few megabytes, for they share what it has loaded.

This is for files that break a decoder, not for those that take it over: a decoder is another
process of the same user.
"""

from __future__ import annotations

import faulthandler
import gc
import json
import os
import signal
import socket
import threading
import traceback
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import NoReturn

from embedder_service import decoder_wire
from embedder_service.decoder import Decoder, Here
from embedder_service.spec import Preprocessing

# For a file, or those that go together: an honest one of the most pixels takes 2 s.
PATIENCE_SECONDS = 20
_BIRTH_SECONDS = 120.0  # until the nursery has loaded what it needs
_MOST_BYTES = 4096
_FIRST_TO_BE_KILLED = "1000"


class Nursery:
    """Where decoders come from; they end with their channels, and it with its own.

    One per process, forked before it has threads.
    """

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._lock = threading.Lock()
        control.settimeout(_BIRTH_SECONDS)

    @classmethod
    def fork(cls) -> Nursery:
        """Returns at once; the first birth waits until the nursery has loaded what it needs."""
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if os.fork() == 0:
            run(its)
        its.close()
        return cls(ours)

    def bear(
        self, preprocessing: Preprocessing, jpegs: str, channel: socket.socket, slab: int
    ) -> int:
        """Another decoder, at the other end of this channel; its process. Raises OSError."""
        message = json.dumps([jpegs, asdict(preprocessing)]).encode()
        with self._lock:
            socket.send_fds(self._control, [message], [channel.fileno(), slab])
            told = self._control.recv(_MOST_BYTES)
        if not told.isdigit():
            raise OSError(f"expected another decoder, got {told.decode() or 'no nursery'}")
        return int(told)


def run(control: socket.socket) -> NoReturn:
    """The nursery's own process, until the other end of its socket is closed."""
    try:
        _keep_only(control.fileno())
        # They end with their channels, not with a signal to all: calls are still answered then.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries them
        Here(Preprocessing(resize=32, crop=32))  # has loaded what decoders share
        gc.freeze()  # what is collected is written to, and no longer shared
        while True:
            message, descriptors, _, _ = socket.recv_fds(control, _MOST_BYTES, 2)
            if not message:
                os._exit(0)
            control.send(_born(control, message, descriptors))
            for descriptor in descriptors:
                os.close(descriptor)
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        os._exit(1)


def _born(control: socket.socket, message: bytes, descriptors: list[int]) -> bytes:
    """The number of another decoder's process, or why there is none."""
    try:
        pid = os.fork()
    except OSError as error:
        return str(error).encode()
    if pid == 0:
        control.close()
        jpegs, preprocessing = json.loads(message)
        _decode(jpegs, Preprocessing(**preprocessing), *descriptors)
    return str(pid).encode()


def _decode(jpegs: str, preprocessing: Preprocessing, channel: int, slab: int) -> None:
    """A decoder's process: it answers jobs until its channel ends."""
    faulthandler.enable()
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_BE_KILLED)
    import torch  # the nursery has loaded it

    torch.set_num_threads(1)
    decoder = _decoder(jpegs, preprocessing)
    served = decoder_wire.Served(socket.socket(fileno=channel), slab)
    while (jobs := served.jobs()) is not None:
        signal.alarm(PATIENCE_SECONDS)  # its default ends the process
        decoded = decoder.decode(jobs)
        signal.alarm(0)
        with suppress(OSError):  # the service is gone, as the next jobs will say
            served.answer(decoded)
    os._exit(0)


def _decoder(jpegs: str, preprocessing: Preprocessing) -> Decoder:
    if jpegs == "nvjpeg":
        # The first of this family that has to do with CUDA, which no copy of a process may share.
        from embedder_service.nvjpeg import NvJpeg

        return NvJpeg(preprocessing)
    return Here(preprocessing)


def _keep_only(descriptor: int) -> None:
    """Whatever else the service had open, as connections, is its own."""
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        if int(name) > 2 and int(name) != descriptor:
            with suppress(OSError):  # the one that listed them
                os.close(int(name))
