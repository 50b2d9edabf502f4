"""The models of a store: models/<space_id>/, each whole or not there.

A publish copies a model folder under a temporary name, every file on disk before it is renamed; a
killed one leaves what the next takes away. Listing needs no torch.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from embedder_service.spec import ModelError, ModelSpec

_PARTS = ("model.safetensors", "model.json", "golden.npy", "golden", "README.md", "compiled")
_TEMPORARY = ".publishing-"


@dataclass(frozen=True, kw_only=True)
class StoredModel:
    """A model by its description alone. `created` is ISO 8601, empty where it was not kept."""

    space_id: str
    spec: ModelSpec
    created: str = ""
    scores: Mapping[str, float] = field(default_factory=dict)


def publish(folder: Path, store: Path) -> tuple[Path, bool]:
    """Checks a model folder and copies it into the store; where it is, and whether it is new there.

    Its tensors make the space it says, and its golden photos the vectors beside them, here. A model
    of the space that is whole in the store already stays as it is; a damaged one is replaced.
    Raises ModelError.
    """
    from embedder_service import checkpoint

    space_id = _expect_good(folder)
    models = store / "models"
    target = models / space_id
    with _lock(models):
        for leftover in models.glob(f"{_TEMPORARY}*"):
            shutil.rmtree(leftover)
        if target.exists():
            try:
                checkpoint.load(target)
                return target, False
            except ModelError:
                pass
        with tempfile.TemporaryDirectory(prefix=_TEMPORARY, dir=models) as temporary:
            copy = Path(temporary, space_id)
            _copy(folder, copy)
            if target.exists():
                target.rename(Path(temporary, "damaged"))
            copy.rename(target)
            _sync(models)
    return target, True


def stored_models(store: Path) -> tuple[list[StoredModel], list[str]]:
    """The store's models, newest first, and a line about each folder that holds none."""
    found, problems = [], []
    for path in sorted((store / "models").glob("[!.]*")):
        try:
            found.append(_described(path))
        except ModelError as error:
            problems.append(str(error))
    return sorted(found, key=lambda model: model.created, reverse=True), problems


def _described(folder: Path) -> StoredModel:
    path = folder / "model.json"
    try:
        fields = json.loads(path.read_text())
        return StoredModel(
            space_id=fields["space_id"],
            spec=ModelSpec.from_json(json.dumps(fields["specification"])),
            created=str(fields.get("created", "")),
            scores=dict(fields.get("scores", {})),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"model: expected its description in {path}, got {error!r}") from error


def _expect_good(folder: Path) -> str:
    import torch

    from embedder_service import checkpoint, golden

    loaded = checkpoint.load(folder)
    with torch.inference_mode():
        golden.check(
            loaded, lambda pixels: loaded.model.embed(torch.from_numpy(pixels)).numpy(), 16
        )
    return loaded.space_id


def _copy(source: Path, target: Path) -> None:
    target.mkdir()
    for name in _PARTS:
        if (source / name).is_dir():
            shutil.copytree(source / name, target / name)
        elif (source / name).exists():
            shutil.copyfile(source / name, target / name)
    for path in (target, *target.rglob("*")):
        _sync(path)


@contextmanager
def _lock(models: Path) -> Iterator[None]:
    """The kernel releases it when the process dies."""
    models.mkdir(parents=True, exist_ok=True)
    with (models / ".lock").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
