"""What is left of an embedder under more images than its device can take.

python -m benchmarks.embed_overload [--seconds S] [--milliseconds M]

The server is a real process but for its model, which sleeps M milliseconds an image, as long as a
GPU would be busy. Peak is what 32 callers with one call at a time each get. Then calls of one image
come at 1, 2 and 10 times that rate whatever becomes of them, each with a second, none tried again:
the goodput is what was answered in time, over the peak. The callers are processes of their own, but
on the same machine; 20 calls a second of another one measure how long a refusal takes.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from lookalike.embedder.v1 import embedder_pb2 as pb
from lookalike.embedder.v1 import embedder_pb2_grpc as rpc
from lookalike_cli import processes
from lookalike_cli.scrape import Samples, scrape
from PIL import Image

from benchmarks.record import record, table

CALLERS = 32
CHANNELS = 16  # beyond 100 calls at once a connection holds calls back by itself
DEADLINE_SECONDS = 1.0
LOADS = (1, 2, 10)
PROBES_A_SECOND = 20
FULL_SECONDS = 10.0
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Sent:
    """What became of calls: how many by status, answers a second, the seconds to each refusal."""

    codes: Counter[str]
    answers_per_second: float
    refusal_seconds: list[float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=FULL_SECONDS, help="for each load")
    parser.add_argument("--milliseconds", type=float, default=10.0, help="the device's, an image")
    parser.add_argument("--side", type=int, default=300, help="the photograph's, in pixels")
    options = parser.parse_args()
    figures = measure(options.seconds, options.milliseconds, options.side)
    usual = (options.milliseconds, options.side) == (10.0, 300)
    record("embed_overload", figures, is_full_size=usual and options.seconds >= FULL_SECONDS)


def measure(seconds: float, milliseconds: float, side: int) -> dict[str, object]:
    """The peak before and after, and a row for each load."""
    spawn = multiprocessing.get_context("spawn")
    settings = {"model": milliseconds}
    with (
        processes.start("benchmarks.embedder_stand_in", "LOOKALIKE_EMBEDDER_", settings) as server,
        ProcessPoolExecutor(2, spawn) as clients,
    ):
        peak = clients.submit(_peak, server.address, side, seconds).result()
        loads = {}
        for times in LOADS:
            cpu = _cpu_seconds(server.process.pid)
            before = scrape(server.metrics_address)
            load = clients.submit(_send, server.address, side, times * peak, seconds)
            probes = clients.submit(_send, server.address, side, PROBES_A_SECOND, seconds)
            sent, probed = load.result(), probes.result()
            cpu = _cpu_seconds(server.process.pid) - cpu
            quick = _quick_refusals(before, scrape(server.metrics_address))
            loads[f"{times}x"] = _row(sent, probed, seconds, peak) | {
                "refused_within_10_ms": quick,
                "server_cores": round(cpu / seconds, 2),
                "server_mb": round(_resident_bytes(server.process.pid) / 1e6, 1),
            }
        after = clients.submit(_peak, server.address, side, seconds).result()
    columns = ("load", *loads["1x"])
    table(f"peak {peak:.0f} images/s", columns, [(k, *row.values()) for k, row in loads.items()])
    return {"peak_images": round(peak, 1), "peak_after": round(after / peak, 3), **loads}


def _row(sent: Sent, probed: Sent, seconds: float, peak: float) -> dict[str, float]:
    refusals = sent.codes["RESOURCE_EXHAUSTED"]
    answers = sent.answers_per_second + probed.answers_per_second
    return {
        "sent_per_second": round(sent.codes.total() / seconds, 1),
        "goodput": round(answers / peak, 3),
        "refused_per_second": round(refusals / seconds, 1),
        "late": sent.codes["DEADLINE_EXCEEDED"],
        "other": sent.codes.total() - sent.codes["OK"] - refusals - sent.codes["DEADLINE_EXCEEDED"],
        "refusal_p50_ms": _milliseconds(probed.refusal_seconds, 50),
        "refusal_p99_ms": _milliseconds(probed.refusal_seconds, 99),
    }


def _quick_refusals(before: Samples, after: Samples) -> float:
    """The share of refusals that left the server within 10 ms of their call's coming.

    Under a full queue nothing but a refusal takes so little.
    """
    quick = refused = 0.0
    for (name, labels), value in after.items():
        grown = value - before.get((name, labels), 0.0)
        if name == "grpc_server_handling_seconds_bucket" and ("le", "0.01") in labels:
            quick += grown
        if name == "grpc_server_handled_total" and ("grpc_code", "ResourceExhausted") in labels:
            refused += grown
    return round(min(1.0, quick / refused), 4) if refused else 1.0


def _peak(address: str, side: int, seconds: float) -> float:
    """Images a second that are answered to callers with one at a time each."""
    with _Callers(address, side) as callers:
        end = time.perf_counter() + seconds

        def ask(number: int) -> int:
            answered = 0
            while time.perf_counter() < end:
                callers.call(number).result()
                answered += 1
            return answered

        with ThreadPoolExecutor(CALLERS) as pool:
            return sum(pool.map(ask, range(CALLERS))) / seconds


def _send(address: str, side: int, rate: float, seconds: float) -> Sent:
    """At this rate, in even steps, whatever comes back."""
    codes: Counter[str] = Counter()
    refusal_seconds: list[float] = []
    answered_at: list[float] = []
    ended = threading.Semaphore(0)

    def count_from(sent: float) -> Callable[[Any], None]:
        def count(call: Any) -> None:
            code = call.code().name
            codes[code] += 1
            if code == "RESOURCE_EXHAUSTED":
                refusal_seconds.append(time.perf_counter() - sent)
            if code == "OK":
                answered_at.append(time.perf_counter())
            ended.release()

        return count

    calls = round(rate * seconds)
    with _Callers(address, side) as callers:
        callers.call(0).exception()  # the connections are there
        began = time.perf_counter()
        for number in range(calls):
            time.sleep(max(0.0, began + number / rate - time.perf_counter()))
            callers.call(number).add_done_callback(count_from(time.perf_counter()))
        for _ in range(calls):
            ended.acquire()
    # Not the first second, when the queue fills, nor what is answered after the last call.
    first, last = began + DEADLINE_SECONDS, began + seconds
    answers = sum(first <= at < last for at in answered_at)
    return Sent(codes, answers / (last - first), refusal_seconds)


class _Callers:
    """Calls of one photograph, by turns over several connections."""

    def __init__(self, address: str, side: int) -> None:
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
        self._channels = [grpc.insecure_channel(address, options) for _ in range(CHANNELS)]
        self._stubs = [rpc.EmbedderServiceStub(channel) for channel in self._channels]
        colours = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
        file = io.BytesIO()
        Image.fromarray(colours).resize((side, side)).save(file, "JPEG", quality=90)
        self._request = pb.EmbedRequest(images=[pb.Image(content=file.getvalue())])

    def call(self, number: int) -> Any:
        stub = self._stubs[number % CHANNELS]
        return stub.Embed.future(self._request, timeout=DEADLINE_SECONDS)

    def __enter__(self) -> _Callers:
        return self

    def __exit__(self, *_: object) -> None:
        for channel in self._channels:
            channel.close()


def _milliseconds(seconds: list[float], percentile: float) -> float:
    return round(float(np.percentile(seconds, percentile)) * 1e3, 1) if seconds else 0.0


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_SECONDS


def _resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES


if __name__ == "__main__":
    main()
