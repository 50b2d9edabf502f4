"""A load of searches from a process of its own: as many a second as asked, whatever comes back.

An open loop: a call is sent at its time even when earlier ones are still out, and its latency
counts from the time at which it should have been sent, so that a service that stalls cannot hide
it.
"""

import multiprocessing
import struct
import threading
import time
import zlib
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self

import grpc
import numpy as np
from lookalike.search.v1 import search_pb2 as pb
from lookalike.search.v1 import search_pb2_grpc as rpc

ANSWER = np.dtype(
    [
        ("due", "f8"),  # time.monotonic(), which all processes of a machine share
        ("seconds", "f4"),
        ("query", "i4"),
        ("generation", "i4"),  # of a call that failed: less than 0, its status
        ("digest", "u4"),
    ]
)
_DEADLINE_SECONDS = 30
_LOOK_SECONDS = 0.005


def digest(photo_ids: list[str], distances: list[float]) -> int:
    """An answer in four bytes."""
    packed = struct.pack(f"<{len(distances)}f", *distances)
    return zlib.crc32("\n".join(photo_ids).encode() + packed)


@dataclass(frozen=True)
class Load:
    """The process; `rate` calls a second from `run` to `pause`."""

    process: multiprocessing.process.BaseProcess
    pipe: Connection

    @classmethod
    def start(cls, address: str, requests: list[bytes]) -> "Load":
        """requests: serialized SearchRequests, asked in turn."""
        spawn = multiprocessing.get_context("spawn")
        here, there = spawn.Pipe()
        process = spawn.Process(target=_work, args=(there, address, requests), daemon=True)
        process.start()
        return cls(process, here)

    def capacity(self, in_flight: int, seconds: float) -> float:
        """Calls a second when so many are always out."""
        self.pipe.send(("capacity", in_flight, seconds))
        rate: float = self.pipe.recv()
        return rate

    def run(self, rate: float) -> None:
        self.pipe.send(("rate", rate))

    def take(self) -> np.ndarray:
        """The answers since they were taken last."""
        self.pipe.send(("take",))
        answers: np.ndarray = np.frombuffer(self.pipe.recv_bytes(), ANSWER)
        return answers

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.join()


def _work(pipe: Connection, address: str, requests: list[bytes]) -> None:
    with grpc.insecure_channel(address) as channel:
        _Sender(channel, requests).run(pipe)


class _Sender:
    def __init__(self, channel: grpc.Channel, requests: list[bytes]) -> None:
        self._stub = rpc.SearchServiceStub(channel)
        self._requests = [pb.SearchRequest.FromString(each) for each in requests]
        self._answers: list[tuple[float, float, int, int, int]] = []
        self._failures: set[grpc.StatusCode] = set()
        self._sent = 0
        self._rate = 0.0
        self._due = 0.0

    def run(self, pipe: Connection) -> None:
        # A reader that is slow to take its answers must not hold up the calls.
        threading.Thread(target=self._obey, args=(pipe,), daemon=True).start()
        while True:
            rate = self._rate
            while rate and self._due <= time.monotonic():
                self._send(self._due)
                self._due += 1 / rate
            wait = min(self._due - time.monotonic(), _LOOK_SECONDS) if rate else _LOOK_SECONDS
            time.sleep(max(0.0, wait))

    def _obey(self, pipe: Connection) -> None:
        while True:
            match pipe.recv():
                case "capacity", int(in_flight), float(seconds):
                    pipe.send(self._capacity(in_flight, seconds))
                case "rate", float(rate):
                    self._due, self._rate = time.monotonic(), rate
                case _:
                    taken, self._answers = self._answers, []
                    pipe.send_bytes(np.array(taken, ANSWER).tobytes())

    def _send(self, due: float) -> Any:
        query = self._sent % len(self._requests)
        self._sent += 1
        call = self._stub.Search.future(self._requests[query], timeout=_DEADLINE_SECONDS)
        call.add_done_callback(partial(self._note, due, query))
        return call

    def _note(self, due: float, query: int, call: Any) -> None:
        seconds = time.monotonic() - due
        if call.code() is not grpc.StatusCode.OK:
            if call.code() not in self._failures:
                self._failures.add(call.code())
                print(f"first {call.code().name}: {call.details()}", flush=True)
            self._answers.append((due, seconds, query, -call.code().value[0], 0))
            return
        answer = call.result()
        photos = [hit.photos[0] for hit in answer.hits]
        found = digest([each.photo_id for each in photos], [each.distance for each in photos])
        self._answers.append((due, seconds, query, answer.answered.generation, found))

    def _capacity(self, in_flight: int, seconds: float) -> float:
        room = threading.Semaphore(in_flight)
        begun, done = time.monotonic(), 0
        while time.monotonic() < begun + seconds:
            room.acquire()
            done += 1
            self._send(time.monotonic()).add_done_callback(lambda _: room.release())
        return done / (time.monotonic() - begun)
