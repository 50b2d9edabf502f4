"""A device that fails or hangs: how soon callers are sent elsewhere, and how soon the process ends.

python -m proofs.device_failures [--times N]

A real embedder over a device that fails by what it sees (proofs/failing_embedder.py), in CUDA's
words. Times count from the moment at which the process knows, its line device_lost in the log: for
one that hangs that is after ten times the prediction and STUCK_SECONDS, here 0.3 s. Health, watched
as a client watches it, says NOT_SERVING within 100 ms, and the process ends with exit code 1 within
2 s; the call that was on the device is told DEVICE_FAILED.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc  # type: ignore[import-untyped]
from lookalike.embedder.v1 import embedder_pb2 as pb
from lookalike.embedder.v1.embedder_pb2_grpc import EmbedderServiceStub
from PIL import Image

from benchmarks.record import record, table

TIMES = 10
NOT_SERVING_MS, EXIT_SECONDS = 100.0, 2.0
SCRIPT = Path(__file__).parent / "failing_embedder.py"
FAILING = {"lost": 255, "stuck": 254}  # by the shade of the picture that does it
SETTINGS = {
    **dict.fromkeys(("ADDRESS", "ADMIN_ADDRESS", "METRICS_ADDRESS"), "127.0.0.1:0"),
    "MODEL": "unused",
    "STUCK_SECONDS": "0.3",
    "DRAIN_SECONDS": "0.1",
}
_TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True)
class Failure:
    """not_serving_ms, exit_seconds: after the process knew."""

    not_serving_ms: float
    exit_seconds: float
    exit_code: int
    told: str

    @property
    def wrong(self) -> str:
        """What falls short; "" if nothing does."""
        if self.not_serving_ms > NOT_SERVING_MS:
            return f"expected NOT_SERVING within {NOT_SERVING_MS:g} ms, got {self.not_serving_ms:g}"
        if self.exit_code != 1 or self.exit_seconds > EXIT_SECONDS:
            expected = f"exit code 1 within {EXIT_SECONDS:g} s"
            return f"expected {expected}, got {self.exit_code}, {self.exit_seconds:g} s"
        if self.told != "DEVICE_FAILED":
            return f"expected the call to be told DEVICE_FAILED, got {self.told}"
        return ""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=TIMES, help="each kind")
    times = parser.parse_args(arguments).times
    failures = measure(times)
    worst = {
        kind: {
            "not_serving_ms": max(each.not_serving_ms for each in those),
            "exit_seconds": max(each.exit_seconds for each in those),
        }
        for kind, those in failures.items()
    }
    table(
        f"a device that fails, {times} times: the worst of each",
        ("kind", "NOT_SERVING, ms", "exit, s"),
        [(kind, *each.values()) for kind, each in worst.items()],
    )
    wrong = [f"{kind}: {each.wrong}" for kind in failures for each in failures[kind] if each.wrong]
    figures = {"times": times, **worst, "wrong": len(wrong)}
    record("proof_device_failures", figures, is_full_size=times == TIMES)
    if wrong:
        raise SystemExit("\n".join(wrong))


def measure(times: int) -> dict[str, list[Failure]]:
    """By kind, what became of each."""
    return {kind: [_fail(kind, shade) for _ in range(times)] for kind, shade in FAILING.items()}


def start(**settings: str) -> subprocess.Popen[str]:
    """Its log, a line an event, is its stderr."""
    named = {f"LOOKALIKE_EMBEDDER_{name}": text for name, text in {**SETTINGS, **settings}.items()}
    return subprocess.Popen(
        [sys.executable, SCRIPT], env={**os.environ, **named}, stderr=subprocess.PIPE, text=True
    )


def reason(call: grpc.Call) -> str:
    """What the service says of a call's end; "" where gRPC alone does."""
    details = dict(call.trailing_metadata()).get("grpc-status-details-bin", b"")
    info = error_details_pb2.ErrorInfo()
    status = status_pb2.Status.FromString(details)
    return info.reason if status.details and status.details[0].Unpack(info) else ""


def picture(shade: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (32, 32), (shade,) * 3).save(file, "PNG")
    return file.getvalue()


def _fail(kind: str, shade: int) -> Failure:
    with start() as process:
        assert process.stderr is not None
        serving = json.loads(process.stderr.readline())
        with (
            grpc.insecure_channel(serving["address"]) as channel,
            grpc.insecure_channel(serving["admin_address"]) as admin,
        ):
            health = health_pb2_grpc.HealthStub(admin).Watch(
                health_pb2.HealthCheckRequest(), timeout=_TIMEOUT_SECONDS
            )
            next(health)
            request = pb.EmbedRequest(images=[pb.Image(content=picture(shade))])
            call = EmbedderServiceStub(channel).Embed.future(request, timeout=_TIMEOUT_SECONDS)
            knew = _until_known(process, kind)
            next(health)
            not_serving = time.monotonic()
            code = process.wait(_TIMEOUT_SECONDS)
            return Failure(
                not_serving_ms=round(1e3 * (not_serving - knew), 1),
                exit_seconds=round(time.monotonic() - knew, 3),
                exit_code=code,
                told=reason(call),
            )


def _until_known(process: subprocess.Popen[str], kind: str) -> float:
    """When its log said so."""
    assert process.stderr is not None
    for line in process.stderr:
        said = json.loads(line)
        if (said["event"], said.get("kind")) == ("device_lost", kind):
            return time.monotonic()
    raise RuntimeError(f"expected an embedder that says device_lost, {kind}, got one that ended")


if __name__ == "__main__":
    main()
