"""Callers of an embedder: so many at once, or so many calls a second whatever comes back.

For a process of its own (`callers`), so that its work is not counted as the embedder's.
"""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import grpc
from lookalike.embedder.v1 import embedder_pb2 as pb
from lookalike.embedder.v1 import embedder_pb2_grpc as rpc

CALLERS = 32
CHANNELS = 16  # beyond 100 calls at once a connection holds calls back by itself

Photos = Sequence[bytes]


def callers() -> ProcessPoolExecutor:
    """Where `ask` and `send` are to run: one process, which starts with the first of them."""
    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))


@dataclass(frozen=True)
class Asked:
    """Calls of callers that have one out each, the first and the last of each left out.

    `call_seconds`: how long each took; `cpu_seconds`: what the callers' process spent on all.
    """

    calls_per_second: float
    call_seconds: list[float]
    cpu_seconds: float


def ask(
    address: str, photos: Photos, seconds: float, at_once: int, images_a_call: int = 1
) -> Asked:
    """Every caller sends its next call when it has its answer, until the time is over."""
    with _Channels(address, photos, images_a_call) as channels:

        def calls(number: int) -> list[tuple[float, float]]:
            done: list[tuple[float, float]] = []
            began = time.perf_counter()
            while began < end:
                channels.ask(number + len(done) * at_once)
                ended = time.perf_counter()
                done.append((ended, ended - began))
                began = ended
            return done

        with ThreadPoolExecutor(at_once) as pool:
            cpu = time.process_time()
            started = time.perf_counter()
            end = started + seconds
            done = sorted(each for one in pool.map(calls, range(at_once)) for each in one)
            cpu = time.process_time() - cpu
    took = [call_seconds for _, call_seconds in done]
    return Asked(_rate([ended - started for ended, _ in done], at_once), took, cpu)


@dataclass(frozen=True)
class Sent:
    """What became of calls: how many by status, answers a second, the seconds to each."""

    codes: Counter[str]
    answers_per_second: float
    answer_seconds: list[float]
    refusal_seconds: list[float]


def send(address: str, photos: Photos, due: Sequence[float], timeout: float) -> Sent:
    """Each call so many seconds after the first, in their order; latencies count from there."""
    codes: Counter[str] = Counter()
    refusal_seconds: list[float] = []
    answers: list[tuple[float, float]] = []
    ended = threading.Semaphore(0)

    def count_from(sent: float) -> Callable[[Any], None]:
        def count(call: Any) -> None:
            code = call.code().name
            codes[code] += 1
            now = time.perf_counter()
            if code == "RESOURCE_EXHAUSTED":
                refusal_seconds.append(now - sent)
            if code == "OK":
                answers.append((now, now - sent))
            ended.release()

        return count

    with _Channels(address, photos) as channels:
        channels.call(0, timeout).exception()  # the connections are there
        began = time.perf_counter()
        for number, after in enumerate(due):
            time.sleep(max(0.0, began + after - time.perf_counter()))
            channels.call(number, timeout).add_done_callback(count_from(began + after))
        for _ in due:
            ended.acquire()
    # Not the beginning, when the queue fills, nor what is answered after the last call.
    first, last = began + min(timeout, due[-1] / 2), began + due[-1]
    counted = sum(first <= at < last for at, _ in answers)
    rate = counted / max(last - first, 1e-9)
    return Sent(codes, rate, [seconds for _, seconds in answers], refusal_seconds)


def _rate(ended: Sequence[float], at_once: int) -> float:
    """Calls a second, from the first caller's second answer on until none asks any more.

    Answers come in bursts, a batch at a time: both ends are counted at the end of a burst. Of few
    calls all count, from the start to the end of the last.
    """
    if len(ended) < 4 * at_once:
        return len(ended) / ended[-1]
    return (len(ended) - 2 * at_once) / (ended[-1 - at_once] - ended[at_once - 1])


class _Channels:
    """Calls with the photos in turn, by turns over several connections."""

    def __init__(self, address: str, photos: Photos, images_a_call: int = 1) -> None:
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
        self._channels = [grpc.insecure_channel(address, options) for _ in range(CHANNELS)]
        self._stubs = [rpc.EmbedderServiceStub(channel) for channel in self._channels]
        images = [pb.Image(content=photo) for photo in photos]
        self._requests = [
            pb.EmbedRequest(
                images=[images[(first + n) % len(images)] for n in range(images_a_call)]
            )
            for first in range(len(images))
        ]

    def ask(self, number: int) -> None:
        """Waits for the answer."""
        self._stubs[number % CHANNELS].Embed(self._request(number))

    def call(self, number: int, timeout: float) -> Any:
        """The call, on its way."""
        return self._stubs[number % CHANNELS].Embed.future(self._request(number), timeout=timeout)

    def _request(self, number: int) -> pb.EmbedRequest:
        return self._requests[number % len(self._requests)]

    def __enter__(self) -> _Channels:
        return self

    def __exit__(self, *_: object) -> None:
        for channel in self._channels:
            channel.close()
