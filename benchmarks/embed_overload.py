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
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from lookalike_cli import processes
from lookalike_cli.scrape import Samples, scrape
from PIL import Image

from benchmarks.embed_callers import CALLERS, Sent, ask, callers, send
from benchmarks.record import record, table

DEADLINE_SECONDS = 1.0
LOADS = (1, 2, 10)
PROBES_A_SECOND = 20
FULL_SECONDS = 10.0
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=FULL_SECONDS, help="for each load")
    parser.add_argument("--milliseconds", type=float, default=10.0, help="the device's, an image")
    parser.add_argument("--side", type=int, default=300, help="the photograph's, in pixels")
    options = parser.parse_args(arguments)
    figures = measure(options.seconds, options.milliseconds, options.side)
    usual = (options.milliseconds, options.side) == (10.0, 300)
    record("embed_overload", figures, is_full_size=usual and options.seconds >= FULL_SECONDS)


def measure(seconds: float, milliseconds: float, side: int) -> dict[str, object]:
    """The peak before and after, and a row for each load."""
    settings = {"model": milliseconds}
    photos = [_soft(side)]
    with (
        processes.start("benchmarks.embedder_stand_in", "LOOKALIKE_EMBEDDER_", settings) as server,
        callers() as clients,
        callers() as prober,
    ):
        # Below `benchmarks.embed` it starts for as long as torch takes to import: the first load
        # would be over before its probes.
        prober.submit(os.getpid).result()
        asked = clients.submit(ask, server.address, photos, seconds, CALLERS).result()
        peak = asked.calls_per_second
        loads = {}
        for times in LOADS:
            cpu = _cpu_seconds(server.process.pid)
            before = scrape(server.metrics_address)
            load, probes = (
                pool.submit(send, server.address, photos, _due(rate, seconds), DEADLINE_SECONDS)
                for pool, rate in ((clients, times * peak), (prober, PROBES_A_SECOND))
            )
            sent, probed = load.result(), probes.result()
            cpu = _cpu_seconds(server.process.pid) - cpu
            quick = _quick_refusals(before, scrape(server.metrics_address))
            loads[f"{times}x"] = _row(sent, probed, seconds, peak) | {
                "refused_within_10_ms": quick,
                "server_cores": round(cpu / seconds, 2),
                "server_mb": round(_resident_bytes(server.process.pid) / 1e6, 1),
            }
        asked = clients.submit(ask, server.address, photos, seconds, CALLERS).result()
        after = asked.calls_per_second
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


def _due(rate: float, seconds: float) -> list[float]:
    """Even steps."""
    return [number / rate for number in range(round(rate * seconds))]


def _soft(side: int) -> bytes:
    colours = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(colours).resize((side, side)).save(file, "JPEG", quality=90)
    return file.getvalue()


def _milliseconds(seconds: list[float], percentile: float) -> float:
    return round(float(np.percentile(seconds, percentile)) * 1e3, 1) if seconds else 0.0


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_SECONDS


def _resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES


if __name__ == "__main__":
    main()
