"""A model compiled ahead for this kind of CPU, and judged: what `lookalike model compile` does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from embedder_service import acceptance, artefact
from embedder_service.acceptance import Figures
from embedder_service.checkpoint import Checkpoint
from embedder_service.devices import openvino
from embedder_service.devices.eager import EagerDevice
from embedder_service.devices.openvino import OpenvinoDevice
from embedder_service.images import Pixels
from lookalike_kit import cpu

KIND = "openvino-cpu"


@dataclass(frozen=True)
class Compiled:
    """Where the artefact is, and what each precision is worth on the photos given."""

    folder: Path
    figures: Mapping[str, Figures]


def made_with() -> dict[str, str]:
    """What an artefact's figures depend on, beside the model. Raises Unavailable."""
    return {"openvino": openvino.version(), "cpu": " ".join(cpu.features())}


def compile_ahead(model: Checkpoint, folder: Path, photos: Pixels, max_batch: int) -> Compiled:
    """Writes compiled/openvino-cpu into the model's folder. Raises Unavailable, ModelError.

    `photos` are eleven or more, as the model sees them: uint8 [n, 3, crop, crop].
    """
    networks = openvino.converted(model.model)
    reference = acceptance.in_batches(EagerDevice(model.model, "cpu").embed, photos, max_batch)
    figures = {}
    for precision in _precisions():
        device = OpenvinoDevice(networks, model.spec.preprocessing.crop, precision)
        device.warm_up(max_batch)
        figures[precision] = acceptance.judge(device.embed, photos, reference, max_batch)
    written = artefact.write(
        folder,
        KIND,
        model.space_id,
        made_with(),
        figures,
        lambda place: openvino.write(networks, place),
    )
    return Compiled(written, figures)


def _precisions() -> tuple[str, ...]:
    # Without instructions of its own bfloat16 is slower than float32.
    return ("bfloat16", "float32") if cpu.has_bfloat16(cpu.features()) else ("float32",)
