"""A TCP proxy that does to connections what a bad network does, and counts the calls that pass.

It speaks plain text: a call is a HEADERS frame, a retry one with gRPC's own header for that.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from hpack import Decoder

_PREFACE_BYTES = 24
_FRAME = struct.Struct(">HBBBI")
_HEADERS, _CONTINUATION, _END_HEADERS, _PADDED, _PRIORITY = 1, 9, 4, 8, 32
_RETRY = b"grpc-previous-rpc-attempts"
_RST_AT_CLOSE = struct.pack("ii", 1, 0)
_CHUNK_BYTES = 64 * 1024
_HELD_SECONDS = 0.01


@dataclass(frozen=True)
class Fault:
    """delay_seconds: of each byte, each way. held: nothing gets through, but nothing is lost.

    reset_seconds: how long a connection lives, on average; 0: none does.
    """

    delay_seconds: float = 0.0
    held: bool = False
    reset_seconds: float = float("inf")


@dataclass
class Seen:
    """What callers sent: calls, retries among them, connections."""

    calls: int = 0
    retries: int = 0
    connections: int = 0


@dataclass
class FaultProxy:
    """In front of `target`; `fault` may be changed at any time, and holds at once."""

    target: str
    address: str = ""
    fault: Fault = field(default_factory=Fault)
    seen: Seen = field(default_factory=Seen)

    async def serve(self, started: Callable[[], None]) -> None:
        server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        self.address = f"{host}:{port}"
        started()
        await server.serve_forever()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.seen.connections += 1
        if not self.fault.reset_seconds:
            _send_rst(writer)
            return
        host, port = self.target.rsplit(":", 1)
        with suppress(OSError):
            await self._wait_while_held()
            from_there, there = await asyncio.open_connection(host, int(port))
            frames = Frames(self.seen)
            reset = asyncio.ensure_future(self._reset())
            here_to_there = self._forward(reader, there, frames.read)
            there_to_here = self._forward(from_there, writer, lambda _: None)
            await _first_of(here_to_there, there_to_here, reset)
            if reset.done() and not reset.cancelled():
                _send_rst(writer, there)
            there.close()
        writer.close()

    async def _forward(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        look: Callable[[bytes], None],
    ) -> None:
        """Until one of both ends; what is read is sent on when its time has come, in order."""
        loop = asyncio.get_running_loop()
        waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def send() -> None:
            while True:
                due, chunk = await waiting.get()
                await asyncio.sleep(due - loop.time())
                await self._wait_while_held()
                writer.write(chunk)
                await writer.drain()

        async def read() -> None:
            while chunk := await reader.read(_CHUNK_BYTES):
                look(chunk)
                waiting.put_nowait((loop.time() + self.fault.delay_seconds, chunk))

        await _first_of(read(), send())

    async def _reset(self) -> None:
        """Returns when the connection's time is over."""
        life = random.expovariate(1.0)
        while life > 0:
            await asyncio.sleep(_HELD_SECONDS)
            seconds = self.fault.reset_seconds
            life -= _HELD_SECONDS / seconds if seconds else life

    async def _wait_while_held(self) -> None:
        while self.fault.held:
            await asyncio.sleep(_HELD_SECONDS)


class Frames:
    """Reads what a client sends on one connection, as far as it is needed to count calls."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen
        self._decoder = Decoder()
        self._rest = b""
        self._skipped = _PREFACE_BYTES
        self._block = b""

    def read(self, chunk: bytes) -> None:
        self._rest += chunk
        if self._skipped:
            skipped = min(self._skipped, len(self._rest))
            self._rest, self._skipped = self._rest[skipped:], self._skipped - skipped
        while len(self._rest) >= 9:
            high, low, kind, flags, _ = _FRAME.unpack_from(self._rest)
            end = 9 + (high << 8 | low)
            if len(self._rest) < end:
                return
            frame, self._rest = self._rest[9:end], self._rest[end:]
            if kind in (_HEADERS, _CONTINUATION):
                self._take(kind, flags, frame)

    def _take(self, kind: int, flags: int, frame: bytes) -> None:
        if kind == _HEADERS:
            padding = frame[0] if flags & _PADDED else 0
            begin = bool(flags & _PADDED) + (5 if flags & _PRIORITY else 0)
            frame = frame[begin : len(frame) - padding]
        self._block += frame
        if not flags & _END_HEADERS:
            return
        names = {name for name, _ in self._decoder.decode(self._block, raw=True)}
        self._block = b""
        self._seen.calls += 1
        self._seen.retries += _RETRY in names


@contextmanager
def proxies(*targets: str) -> Iterator[list[FaultProxy]]:
    """One in front of each, in a thread of its own."""
    made = [FaultProxy(target) for target in targets]
    started = threading.Semaphore(0)
    loop = asyncio.new_event_loop()

    async def serve_all() -> None:
        await asyncio.gather(*(each.serve(started.release) for each in made))

    def run() -> None:
        with suppress(asyncio.CancelledError):
            loop.run_until_complete(serving)

    serving = loop.create_task(serve_all())
    thread = threading.Thread(target=run)
    thread.start()
    for _ in made:
        started.acquire()
    try:
        yield made
    finally:
        loop.call_soon_threadsafe(serving.cancel)
        thread.join()
        loop.close()


async def _first_of(*works: Awaitable[None]) -> None:
    """Until one of them ends; the others end with it."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _send_rst(*ends: asyncio.StreamWriter) -> None:
    for end in ends:
        connection = end.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST_AT_CLOSE)
        end.transport.abort()
