"""The fastest engine that runs here and makes the model's vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from embedder_service import artefact, golden
from embedder_service.acceptance import MAX_ERROR
from embedder_service.artefact import Artefact
from embedder_service.checkpoint import Checkpoint
from embedder_service.config import EmbedderConfig
from embedder_service.devices import openvino
from embedder_service.devices.ahead import KIND, made_with
from embedder_service.devices.device import Device, Unavailable
from embedder_service.devices.eager import EagerDevice, chosen_device
from embedder_service.devices.graphs import GraphsDevice
from embedder_service.devices.openvino import Networks, OpenvinoDevice
from embedder_service.golden import Agreement
from embedder_service.pace import Pace
from embedder_service.spec import ModelError
from lookalike_kit import cpu, logs

log = logs.get(__name__)


# Engine and precision, the fastest first; docs/embedder.md has the measurements.
_CPU = (
    ("openvino", "bfloat16"),
    ("eager", "bfloat16"),
    ("openvino", "float32"),
    ("eager", "float32"),
)
_CUDA = (
    ("compiled", "float16"),
    ("graphs", "float16"),
    ("compiled", "bfloat16"),
    ("graphs", "bfloat16"),
    ("compiled", "float32"),
    ("graphs", "float32"),
    ("eager", "float16"),
    ("eager", "bfloat16"),
    ("eager", "float32"),
)

Candidate = tuple[str, str]


@dataclass(frozen=True)
class Chosen:
    """Warmed and checked. `artefact` is used, none, damaged or foreign; empty if not for it."""

    device: Device
    pace: Pace
    agreement: Agreement
    artefact: str


def choose(model: Checkpoint, config: EmbedderConfig) -> Chosen:
    """The first candidate that works, agrees with the golden photos and is exact enough.

    The last one only has to agree; the errors of a precision that is named are not judged.
    Raises ModelError: what kept it from serving.
    """
    if config.torch_threads:
        torch.set_num_threads(config.torch_threads)
    device = chosen_device(config.device)
    tried = candidates(device, config.engine, config.precision, cpu.features())
    trial = _Trial(model, config, device)
    for candidate in tried[:-1]:
        if accepted := trial.accepted(candidate):
            return accepted
    try:
        return trial.chosen(tried[-1])
    except Unavailable as error:
        raise ModelError(str(error)) from error


def candidates(
    device: str, engine: str, precision: str, features: tuple[str, ...]
) -> Sequence[Candidate]:
    """What may be tried on "cpu" or "cuda", in this order. Raises ModelError if nothing may."""
    known: Sequence[Candidate] = _CUDA if device == "cuda" else _CPU
    if device == "cpu" and precision == "auto" and not cpu.has_bfloat16(features):
        known = tuple(each for each in known if each[1] != "bfloat16")
    found = [
        each for each in known if engine in ("auto", each[0]) and precision in ("auto", each[1])
    ]
    if not found:
        raise ModelError(f"engine: expected one that runs in {precision} on {device}, got {engine}")
    return found


class _Trial:
    """One model's candidates; what is made for one is there for the next."""

    def __init__(self, model: Checkpoint, config: EmbedderConfig, device: str) -> None:
        self._model = model
        self._config = config
        self._device = device

    def accepted(self, candidate: Candidate) -> Chosen | None:
        """None: it is passed over, and holds no memory any more."""
        try:
            chosen = self.chosen(candidate)
            self._expect_exact(candidate, chosen.agreement)
        except Exception as error:  # noqa: BLE001 - whatever ails a fast engine, another serves
            engine, precision = candidate
            log.warning("engine_passed_over", engine=engine, precision=precision, why=str(error))
            return None
        return chosen

    def chosen(self, candidate: Candidate) -> Chosen:
        device = self._open(*candidate)
        pace = device.warm_up(self._config.max_batch)
        agreement = golden.check(self._model, device.embed, self._config.max_batch)
        state = self._artefact_state if device.engine == "openvino" else ""
        return Chosen(device, pace, agreement, state)

    def _expect_exact(self, candidate: Candidate, agreement: Agreement) -> None:
        """Raises ModelError: another candidate is to be preferred."""
        engine, precision = candidate
        is_named = self._config.precision != "auto"  # then it is served all the same
        # Or NaN: it cannot be told.
        if not is_named and precision != "float32" and not agreement.error <= MAX_ERROR:
            raise ModelError(
                f"golden photos: expected errors of at most {MAX_ERROR} of the distance to the "
                f"nearest other, got {agreement.error:.3f}"
            )
        if engine == "openvino" and self._artefact:
            figures = self._artefact.figures.get(precision)
            if figures is None or not figures.is_accepted:
                raise ModelError(
                    f"artefact: expected accepted figures for {precision}, got {figures}"
                )

    def _open(self, engine: str, precision: str) -> Device:
        model = self._model.model
        if engine == "eager":
            return EagerDevice(model, self._device, precision)
        if engine == "openvino":
            side = self._model.spec.preprocessing.crop
            threads = self._config.torch_threads
            return OpenvinoDevice(self._openvino_networks, side, precision, threads)
        return GraphsDevice(model, engine, precision)

    @cached_property
    def _openvino_networks(self) -> Networks:
        if self._artefact:
            return openvino.read(self._artefact.folder)
        return openvino.converted(self._model.model)

    @property
    def _artefact(self) -> Artefact | None:
        return self._artefact_or_not if isinstance(self._artefact_or_not, Artefact) else None

    @property
    def _artefact_state(self) -> str:
        found = self._artefact_or_not
        return "used" if isinstance(found, Artefact) else found.state

    @cached_property
    def _artefact_or_not(self) -> Artefact | artefact.Unusable:
        try:
            return artefact.read(self._config.model, KIND, self._model.space_id, made_with())
        except artefact.Unusable as error:
            if error.state != "none":
                log.warning("artefact_not_used", state=error.state, why=str(error))
            return error
