"""OpenVINO on a CPU: needs no compiler, and is the fastest engine there."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import numpy as np
import torch

from embedder_service.devices.device import Unavailable
from embedder_service.devices.padded import Padded
from embedder_service.images import Pixels
from embedder_service.model import EmbeddingModel
from embedder_service.pending import Vectors

_HINTS = {"float32": "f32", "bfloat16": "bf16"}


class OpenvinoDevice(Padded):
    """Runs what `converted` or `read` returned. `threads` 0: one a core."""

    engine = "openvino"
    name = "cpu"

    def __init__(self, network: Any, side: int, precision: str, threads: int = 0) -> None:
        super().__init__(self._run, side)
        self.precision = precision
        options = {
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
            "PERFORMANCE_HINT": "LATENCY",  # one pass at a time, on all threads
            # Two embedders on one machine would be pinned to the same cores.
            "ENABLE_CPU_PINNING": False,
        }
        if threads:
            options["INFERENCE_NUM_THREADS"] = threads
        compiled = imported().Core().compile_model(network, "CPU", options)
        self._request = compiled.create_infer_request()

    def _run(self, images: Pixels) -> Vectors:
        output = self._request.infer([images], share_inputs=True, share_outputs=True)[0]
        return np.array(output, np.float32)  # a copy: the next pass writes where this one did


def converted(model: EmbeddingModel) -> Any:
    """The model in float32 as OpenVINO's, for batches of any size. Raises Unavailable."""
    openvino = imported()
    side = model.spec.preprocessing.crop
    images = torch.zeros((2, 3, side, side), dtype=torch.uint8)  # 1 would be taken for a constant
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, of what OpenVINO calls
        program = torch.export.export(
            model, (images,), dynamic_shapes={"images": {0: torch.export.Dim("n", min=1)}}
        )
        network = openvino.convert_model(program)
    network.reshape([-1, 3, side, side])
    return network


def write(network: Any, folder: Path) -> None:
    """model.xml and model.bin, in float32."""
    imported().save_model(network, folder / "model.xml", compress_to_fp16=False)


def read(folder: Path) -> Any:
    """What `write` wrote; its bytes are checked by whoever calls. Raises Unavailable."""
    return imported().Core().read_model(folder / "model.xml")


def version() -> str:
    """As "2026.4.1". Raises Unavailable."""
    return str(imported().__version__).partition("-")[0]


def imported() -> ModuleType:
    """The module `openvino`, which would report its import to its maker otherwise."""
    # Where openvino_telemetry cannot be imported, openvino takes its own empty stand-in.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        import openvino
    except ImportError as error:
        raise Unavailable(
            "engine: expected openvino, got none: pip install 'lookalike[openvino]'"
        ) from error
    return cast(ModuleType, openvino)
