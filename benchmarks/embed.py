"""The embedder's figures in one run: python -m benchmarks.embed [--quick] [--parts model,host,...]

model: a resnet152 on the GPU where there is one, else on the CPU: end to end by gRPC over the
device's own loop, the engine over eager, a lone request, waits at 80 % load, starts. error: the
engine's vectors against float32's, on a model that is fine-tuned for it. host: what the service
costs beside decoding, and LitServe. decoders, overload: as benchmarks/decoders.py and
benchmarks/embed_overload.py.

Servers and callers are processes of their own. With --quick the same at a size that says nothing.
With --keep FOLDER each part is kept there once it was measured, and taken from there the next time:
where a machine is lent for minutes, a run in several turns on the same machine counts as one.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path

import torch

from benchmarks import decoders, embed_host, embed_model, embed_overload
from benchmarks.embed_model import Sizes
from benchmarks.record import machine, record
from lookalike_kit import cpu

ON_CPU = Sizes(
    backbone="resnet152",
    crop=224,
    photos=128,
    max_batch=32,
    images_a_call=(1,),
    rounds=3,
    seconds=20.0,
    calls_at_80=900,
    starts=True,
)
ON_GPU = Sizes(
    backbone="resnet152",
    crop=224,
    photos=128,
    max_batch=256,
    images_a_call=(1, 16),
    rounds=5,
    seconds=8.0,
    calls_at_80=10_000,
    starts=True,
)
QUICK = Sizes(
    backbone="resnet18",
    crop=64,
    photos=12,
    max_batch=2,
    images_a_call=(1, 2),
    rounds=1,
    seconds=0.1,
    calls_at_80=20,
    starts=False,
)
HOST_ROUNDS, HOST_SECONDS = 7, 8.0

Part = Callable[[bool], Mapping[str, object]]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="seconds instead of 25 minutes")
    parser.add_argument("--parts", default=",".join(PARTS), help="some of %(default)s")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="parts, from turn to turn")
    given = parser.parse_args(arguments)
    parts = given.parts.split(",")
    figures: dict[str, object] = {}
    for name in parts:
        figures |= _kept(name, given.quick, given.keep)
    record(
        _kind(),
        figures,
        is_full_size=not given.quick and parts == list(PARTS),
        packages=(
            "torch",
            "torchvision",
            "openvino",
            "pillow",
            "simplejpeg",
            "opencv-python-headless",
            "grpcio",
            "numpy",
        ),
    )


def _kept(name: str, quick: bool, folder: Path | None) -> Mapping[str, object]:
    if folder is None or quick:
        return PARTS[name](quick)
    file = folder / f"{name}.json"
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    here = {"machine": machine(), "gpu": gpu, "torch": torch.__version__, "code": _code()}
    kept = json.loads(file.read_text()) if file.exists() else {}
    if {key: kept.get(key) for key in here} == here:
        return dict(kept["figures"])
    figures = PARTS[name](quick)
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({**here, "figures": figures}))
    return figures


def _kind() -> str:
    """Of device: what one kind can says nothing of another."""
    if torch.cuda.is_available():
        return "embed_gpu"
    return "embed_amx" if "amx_bf16" in cpu.features() else "embed"


def _code() -> str:
    """What is measured, and what measures."""
    folders = ("benchmarks", "embedder_service", "lookalike_kit")
    files = sorted(path for folder in folders for path in Path(folder).rglob("*.py"))
    return sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def _model(quick: bool) -> Mapping[str, object]:
    if quick:
        return embed_model.measure(QUICK)
    return embed_model.measure(ON_GPU if torch.cuda.is_available() else ON_CPU)


def _error(quick: bool) -> Mapping[str, object]:
    backbone, crop, items, epochs = (
        ("resnet152", 224, 300, 14) if torch.cuda.is_available() else ("resnet18", 112, 150, 10)
    )
    if quick:
        backbone, crop, items, epochs = "resnet18", 48, 12, 1
    return embed_model.error(backbone, crop, items, epochs)


def _host(quick: bool) -> Mapping[str, object]:
    return embed_host.measure(1, 0.2) if quick else embed_host.measure(HOST_ROUNDS, HOST_SECONDS)


def _decoders(quick: bool) -> Mapping[str, object]:
    return {"decoders": decoders.measure(0.01 if quick else decoders.FULL_SECONDS)}


def _overload(quick: bool) -> Mapping[str, object]:
    seconds = 0.2 if quick else embed_overload.FULL_SECONDS
    return {"overload": embed_overload.measure(seconds, 10.0, 32 if quick else 300)}


PARTS: Mapping[str, Part] = {
    "model": _model,
    "error": _error,
    "host": _host,
    "decoders": _decoders,
    "overload": _overload,
}


if __name__ == "__main__":
    main()
