"""What the service makes of its device: throughput, a lone request, waits under load, starts."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch
from lookalike_cli import processes
from lookalike_cli.processes import Running

from benchmarks import embed_checkpoint, embed_starts
from benchmarks.embed_bare import Bare
from benchmarks.embed_callers import CALLERS, Asked, ask, callers, send
from benchmarks.photograph import photograph
from benchmarks.record import table
from embedder_service.config import PREFIX
from lookalike_kit import cpu

LOAD = 0.8
TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True)
class Sizes:
    """How much is measured. seconds: of a measurement; photos: for the batch statistics."""

    backbone: str
    crop: int
    photos: int
    max_batch: int
    images_a_call: tuple[int, ...]
    rounds: int
    seconds: float
    calls_at_80: int
    starts: bool


def measure(sizes: Sizes) -> dict[str, object]:
    """The figures of one model on this machine's device."""
    with tempfile.TemporaryDirectory() as name:
        made = Path(name)
        folder = embed_checkpoint.untrained(sizes.backbone, sizes.crop, sizes.photos, made)
        starts = _starts(folder, sizes, made / "kernels") if sizes.starts else {}
        with (
            Bare(folder, sizes.max_batch, *engine()) as bare,
            _embedder(folder, sizes, made / "kernels") as server,
            callers() as clients,
        ):
            about = asdict(bare.about())
            print(f"\n{sizes.backbone} on {about}")
            by_batch = _by_batch(bare, server, clients, sizes)
            return {
                **about,
                "backbone": sizes.backbone,
                "max_batch": sizes.max_batch,
                **_throughput(bare, server, clients, by_batch, sizes),
                **_speedup(bare, by_batch, sizes),
                **_waits(bare, server, clients, sizes),
                "start_to_serving_seconds": starts,
            }


def error(backbone: str, crop: int, items: int, epochs: int) -> dict[str, object]:
    """How far the engine chosen for a trained model is from float32 (acceptance.Figures)."""
    with tempfile.TemporaryDirectory() as name:
        folder, photos = embed_checkpoint.trained(backbone, crop, items, epochs, Path(name))
        with Bare(folder, max_batch=32) as bare:
            about, figures = bare.about(), bare.figures(photos)
    table(
        f"{backbone}, fine-tuned on {items} drawn items, as {about.engine} in {about.precision}",
        tuple(figures),
        [tuple(figures.values())],
    )
    trained = {"backbone": backbone, "items": items, "epochs": epochs}
    return {"error": {**trained, "engine": about.engine, "precision": about.precision, **figures}}


def engine() -> tuple[str, str]:
    """The precision to serve in, and on a CPU the engine: `auto` would judge errors.

    Those of a model that was never trained say nothing (benchmarks/embed_checkpoint.py).
    """
    if torch.cuda.is_available():
        return "auto", "float16"
    return ("openvino", "bfloat16") if cpu.has_bfloat16(cpu.features()) else ("auto", "auto")


def batches(most: int) -> list[int]:
    """1, 2, 4, ... and the most."""
    return [1 << power for power in range((most - 1).bit_length())] + [most]


def _embedder(folder: Path, sizes: Sizes, kernels: Path) -> Running:
    # Inductor's kernels are a start's to keep or not, never another's.
    kept = ["env", f"TORCHINDUCTOR_CACHE_DIR={kernels}"]
    name, precision = engine()
    settings = {
        "model": folder,
        "engine": name,
        "precision": precision,
        "max_batch": sizes.max_batch,
        "max_queue_images": max(256, 2 * CALLERS * max(sizes.images_a_call)),
        "drain_seconds": 0,
    }
    return processes.start("embedder_service", PREFIX, settings, wait_seconds=900, under=kept)


def _starts(folder: Path, sizes: Sizes, kernels: Path) -> dict[str, float]:
    """Without and with the artefact, which is there from then on."""
    read = [folder, *embed_starts.package_folders()]
    found = {}
    for artefact in ("without artefact", "with artefact"):
        if artefact == "with artefact":
            if torch.cuda.is_available():
                break  # it is for CPUs
            _compile(folder, sizes)
        embed_starts.forget(read, kernels)
        for state in ("cold", "warm"):
            found[f"{state}, {artefact}"] = embed_starts.seconds_to_serving(
                lambda: _embedder(folder, sizes, kernels)
            )
    table("from the start of the process to SERVING, s", ("start", "s"), list(found.items()))
    return found


def _compile(folder: Path, sizes: Sizes) -> None:
    """In a process of its own: what it brings into memory must not be there for the next start."""
    with callers() as process:
        process.submit(_compile_here, folder, sizes).result()


def _compile_here(folder: Path, sizes: Sizes) -> None:
    from embedder_service import checkpoint, images
    from embedder_service.devices.ahead import compile_ahead

    model = checkpoint.load(folder)
    photos = [
        images.read(photo, model.spec.preprocessing)[0] for photo in embed_checkpoint.crops(16)
    ]
    compile_ahead(model, folder, np.stack(photos), sizes.max_batch)


def _by_batch(
    bare: Bare, server: Running, clients: ProcessPoolExecutor, sizes: Sizes
) -> dict[int, dict[str, float]]:
    """The device's loop by batch size, and the service with two batches of that size in flight."""
    found = {}
    for batch in batches(sizes.max_batch):
        at_once = min(CALLERS, 2 * batch)
        each = min(64, max(1, 2 * batch // at_once))
        asked = _ask(clients, server, sizes.seconds / 2, at_once, each)
        found[batch] = {
            "bare": bare.images_a_second(batch, sizes.seconds / 4),
            "served": asked.calls_per_second * each,
        }
    rows = [(batch, each["bare"], each["served"]) for batch, each in found.items()]
    table("images/s", ("batch", "bare loop", "served, two batches in flight"), rows)
    return found


def _throughput(
    bare: Bare,
    server: Running,
    clients: ProcessPoolExecutor,
    by_batch: Mapping[int, Mapping[str, float]],
    sizes: Sizes,
) -> dict[str, object]:
    """In turn, the best of each."""
    batch = _best(by_batch)
    loops = []
    served: dict[int, list[float]] = {each: [] for each in sizes.images_a_call}
    client_micros = []
    for _ in range(sizes.rounds):
        loops.append(bare.images_a_second(batch, sizes.seconds))
        for each, rates in served.items():
            asked = _ask(clients, server, sizes.seconds, CALLERS, each)
            rates.append(asked.calls_per_second * each)
            client_micros.append(1e6 * asked.cpu_seconds / (len(asked.call_seconds) * each))
    best = {each: max(rates) for each, rates in served.items()}
    ratios = {each: round(rate / max(loops), 3) for each, rate in best.items()}
    rows = [(f"served, {each} images a call", rate, ratios[each]) for each, rate in best.items()]
    table(
        f"best of {sizes.rounds} rounds in turn, {CALLERS} callers",
        ("", "images/s", "ratio"),
        [(f"bare loop, batches of {batch}", max(loops), 1.0), *rows],
    )
    return {
        "throughput_vs_model_loop": ratios[max(ratios)],
        "throughput_by_images_a_call": ratios,
        "loop_images": round(max(loops), 1),
        "loop_batch": batch,
        "client_cpu_micros_an_image": round(median(client_micros), 1),
        "by_batch": by_batch,
    }


def _speedup(
    bare: Bare, by_batch: Mapping[int, Mapping[str, float]], sizes: Sizes
) -> dict[str, float]:
    """Each at its own best batch size, in turn."""
    eager = {
        batch: bare.eager_images_a_second(batch, sizes.seconds / 4)
        for batch in sorted({1, min(8, sizes.max_batch), sizes.max_batch, _best(by_batch)})
    }
    batch, best = max(eager, key=lambda each: eager[each]), _best(by_batch)
    fast, slow = [], []
    for _ in range(sizes.rounds):
        slow.append(bare.eager_images_a_second(batch, sizes.seconds / 2))
        fast.append(bare.images_a_second(best, sizes.seconds / 2))
    rows = [("eager", batch, max(slow)), ("as served", best, max(fast))]
    table("the device alone, images/s", ("", "batch", "images/s"), rows)
    return {
        "compiled_vs_eager": round(max(fast) / max(slow), 2),
        "eager_images": round(max(slow), 1),
    }


def _waits(
    bare: Bare, server: Running, clients: ProcessPoolExecutor, sizes: Sizes
) -> dict[str, float]:
    """A lone caller's; and many at 80 % of what the service can take, as they come."""
    lone, alone = [], []
    for _ in range(sizes.rounds):
        alone.append(bare.pass_seconds(1, sizes.seconds / 4))
        asked = _ask(clients, server, sizes.seconds / 4, 1, 1)
        lone.append(median(asked.call_seconds))
    peak = _ask(clients, server, sizes.seconds, CALLERS, 1).calls_per_second
    between = np.random.default_rng(0).exponential(1 / (LOAD * peak), sizes.calls_at_80)
    due = np.cumsum(between).tolist()
    sent = clients.submit(send, server.address, _photos(), due, TIMEOUT_SECONDS).result()
    p50, p99 = np.percentile(sent.answer_seconds, (50, 99))
    batch = bare.pass_seconds(sizes.max_batch, sizes.seconds / 4)
    table(
        "ms",
        ("a pass of 1", "a lone request", f"a pass of {sizes.max_batch}", "p50 at 80 %", "p99"),
        [tuple(1e3 * each for each in (min(alone), min(lone), batch, p50, p99))],
    )
    return {
        "lone_request_ms": round(1e3 * min(lone), 2),
        "batch_1_ms": round(1e3 * min(alone), 2),
        "lone_over_batch_1": round(min(lone) / min(alone), 3),
        "p50_ms_at_80": round(1e3 * p50, 1),
        "p99_ms_at_80": round(1e3 * p99, 1),
        "full_batch_ms": round(1e3 * batch, 1),
        "p99_over_full_batch": round(p99 / batch, 3),
        "p99_over_batch_1": round(p99 / min(alone), 2),
        "failed_at_80": sent.codes.total() - sent.codes["OK"],
    }


def _best(by_batch: Mapping[int, Mapping[str, float]]) -> int:
    return max(by_batch, key=lambda batch: by_batch[batch]["bare"])


def _ask(
    clients: ProcessPoolExecutor, server: Running, seconds: float, at_once: int, images: int
) -> Asked:
    return clients.submit(ask, server.address, _photos(), seconds, at_once, images).result()


def _photos() -> list[bytes]:
    return [photograph(300, 300, number) for number in range(8)]
