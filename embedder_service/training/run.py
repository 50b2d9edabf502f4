"""A training's folder: what it takes to go on after kill -9, and what it has told so far.

    settings.json       what is trained on what; another training is refused
    state.safetensors   weights, average, optimiser; its metadata carries schedule and history
    best.safetensors    the best epoch's weights, where a patience is set
    metrics.jsonl       an epoch a line
    curves.png          the same, drawn
    events.out.tfevents.*  the same, for TensorBoard

Each file but the events is replaced whole, once an epoch.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from embedder_service.spec import ModelError
from embedder_service.training.data import Catalogue
from embedder_service.training.epochs import Epoch
from embedder_service.training.learner import Learner
from embedder_service.training.settings import FinetuneSettings
from embedder_service.training.told import draw_curves, log_epoch

# They say how it is run; the others what comes out.
_HOW = ("device", "threads", "memory_bytes")


class Run:
    """One training's folder. Raises ModelError where it holds another training, or damage."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def begin(self, catalogue: Catalogue, settings: FinetuneSettings, restart: bool) -> None:
        """Makes the folder, or finds in it the same training, to go on with.

        Another one that ended before its first epoch did has left nothing to lose.
        """
        if restart:
            self._clear()
        self.folder.mkdir(parents=True, exist_ok=True)
        asked = _identity(catalogue, settings)
        path = self.folder / "settings.json"
        if path.exists() and self._state.exists():
            self._expect_same(_json(path.read_text(), path), asked)
        else:
            _put(path, lambda file: file.write_text(json.dumps(asked, indent=1) + "\n"))

    def restore(self, learner: Learner) -> list[Epoch]:
        """The learner goes on from the last epoch's end; the epochs that are done."""
        facts = self._facts()
        if facts is None:
            return []
        learner.restore(_tensors(self._state), facts["learner"])
        return [Epoch(**epoch) for epoch in facts["history"]]

    def best(self) -> dict[str, Tensor]:
        """The best epoch's weights."""
        return _tensors(self.folder / "best.safetensors")

    def keep(
        self, learner: Learner, history: Sequence[Epoch], best: Mapping[str, Tensor] | None
    ) -> None:
        """After an epoch; `best` where it was the best so far."""
        log_epoch(self.folder, history[-1])
        if best is not None:
            _put_tensors(self.folder / "best.safetensors", best, {})
        tensors, facts = learner.state()
        told = {"history": [asdict(epoch) for epoch in history], "learner": facts}
        _put_tensors(self._state, tensors, {"facts": json.dumps(told)})
        lines = "".join(json.dumps(asdict(epoch)) + "\n" for epoch in history)
        _put(self.folder / "metrics.jsonl", lambda file: file.write_text(lines))
        _put(self.folder / "curves.png", lambda file: draw_curves(history, file))

    @property
    def _state(self) -> Path:
        return self.folder / "state.safetensors"

    def _facts(self) -> Any:
        if not self._state.exists():
            return None
        try:
            with safetensors.safe_open(self._state, "pt") as file:
                return _json(file.metadata()["facts"], self._state)
        except (SafetensorError, OSError, KeyError, TypeError) as error:
            raise ModelError(
                f"run: expected a training's state in {self._state}: {error}"
            ) from error

    def _expect_same(self, found: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
        other = [name for name in asked if found.get(name) != asked[name]]
        if other:
            name = other[0]
            raise ModelError(
                f"run: expected in {self.folder} a training of {name} {asked[name]}, got one of "
                f"{found.get(name)}: name another folder, or begin anew with --restart"
            )

    def _clear(self) -> None:
        for pattern in (
            "*.safetensors",
            "settings.json",
            "metrics.jsonl",
            "curves.png",
            "events.*",
        ):
            for path in self.folder.glob(pattern):
                path.unlink()


def _identity(catalogue: Catalogue, settings: FinetuneSettings) -> dict[str, Any]:
    """What decides the result, as JSON gives it back."""
    photos = [[p.photo_id, p.item_id, p.category, p.split, p.box] for p in catalogue.photos]
    digest = hashlib.sha256(json.dumps(photos).encode()).hexdigest()
    chosen = {name: value for name, value in asdict(settings).items() if name not in _HOW}
    chosen["weights"] = str(settings.weights)
    identity: dict[str, Any] = json.loads(json.dumps({"catalogue": digest, **chosen}))
    return identity


def _json(text: str, path: Path) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ModelError(f"run: expected JSON in {path}, got {error}") from error


def _tensors(path: Path) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"run: expected safetensors in {path}, got {error}") from error


def _put_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    _put(path, lambda file: safetensors.torch.save_file(whole, file, metadata))


def _put(path: Path, write: Callable[[Path], object]) -> None:
    """The old file or the new one, whatever happens."""
    temporary = path.with_name(f".{path.name}.tmp")
    write(temporary)
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
