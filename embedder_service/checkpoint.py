"""A model folder, models/<space_id>/: weights, specification, golden photos, model card.

    model.safetensors   every tensor; its metadata carries the specification
    model.json          schema, space_id, created, specification, scores
    golden/00.jpg ...   photos as they came; golden.npy: their vectors, float32 [n, dimension]
    README.md           the model card

No pickle anywhere. A folder is written under a temporary name and renamed, so that a reader sees a
whole one or none.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from embedder_service import images
from embedder_service.model import EmbeddingModel, space_id
from embedder_service.spec import ModelError, ModelSpec

SCHEMA = 1

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Checkpoint:
    """A model that was read and checked: its tensors make the space it says."""

    space_id: str
    spec: ModelSpec
    model: EmbeddingModel
    golden_photos: tuple[bytes, ...] = ()
    golden_vectors: Vectors = field(default_factory=lambda: np.empty((0, 0), np.float32))
    scores: Mapping[str, float] = field(default_factory=dict)


def save(
    model: EmbeddingModel,
    models: Path,
    golden_photos: Sequence[bytes],
    card: str,
    scores: Mapping[str, float] | None = None,
) -> Path:
    """Writes models/<space_id> and returns it; a folder of the same space is replaced.

    `golden_photos` are JPEG files, two or more and unlike each other. Their vectors are computed
    here, in float32 on the model's device; a replica compares its own with them before it serves.
    """
    spec = model.spec
    tensors = {
        name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()
    }
    space = space_id(spec, tensors)
    models.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".saving-", dir=models) as temporary:
        folder = Path(temporary, space)
        (folder / "golden").mkdir(parents=True)
        metadata = {"format": "pt", "space_id": space, "specification": spec.to_json()}
        safetensors.torch.save_file(tensors, folder / "model.safetensors", metadata)
        for number, photo in enumerate(golden_photos):
            (folder / "golden" / f"{number:02}.jpg").write_bytes(photo)
        np.save(folder / "golden.npy", embed_photos(model, golden_photos), allow_pickle=False)
        (folder / "README.md").write_text(card)
        (folder / "model.json").write_text(_description(space, spec, scores or {}))
        _put(folder, models / space)
    return models / space


def load(folder: Path) -> Checkpoint:
    """Reads and checks a model folder; the model is on the CPU, in evaluation mode.

    Raises ModelError: the folder or a file is missing, damaged, or of another space.
    """
    if not folder.is_dir():
        raise ModelError(f"model: expected a folder models/<space_id>, got no folder at {folder}")
    if not (folder / "model.json").exists():
        raise ModelError(f"model: expected model.json in {folder}, got none{_instead(folder)}")
    description = _read_description(folder / "model.json")
    spec = ModelSpec.from_json(json.dumps(description["specification"]))
    tensors = _read_tensors(folder / "model.safetensors")
    got = space_id(spec, tensors)
    if got != description["space_id"]:
        raise ModelError(
            f"model: expected tensors of space {description['space_id']} in {folder}, "
            f"got those of space {got}"
        )
    photos = tuple(path.read_bytes() for path in sorted((folder / "golden").glob("*.jpg")))
    return Checkpoint(
        space_id=got,
        spec=spec,
        model=_model(spec, tensors),
        golden_photos=photos,
        golden_vectors=_read_golden(folder / "golden.npy", len(photos), spec.dimension),
        scores=description.get("scores", {}),
    )


def embed_photos(model: EmbeddingModel, photos: Sequence[bytes]) -> Vectors:
    """The photos' vectors, one by one, float32 [n, dimension]: the reference for a space."""
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    vectors = np.empty((len(photos), model.spec.dimension), np.float32)
    with torch.inference_mode():
        for row, photo in enumerate(photos):
            (pixels,) = images.read(photo, model.spec.preprocessing)
            batch = torch.from_numpy(pixels[np.newaxis]).to(device)
            vectors[row] = model.embed(batch)[0].cpu().numpy()
    model.train(was_training)
    return vectors


def _description(space: str, spec: ModelSpec, scores: Mapping[str, float]) -> str:
    return json.dumps(
        {
            "schema": SCHEMA,
            "space_id": space,
            "created": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "specification": asdict(spec),
            "scores": dict(scores),
        },
        indent=2,
    )


def _put(folder: Path, target: Path) -> None:
    """Renames into place; what was there goes away with the temporary directory."""
    if target.exists():
        target.rename(folder.parent / "replaced")
    folder.rename(target)


def _instead(folder: Path) -> str:
    """Of a store, or of the folder that trainings put their models into."""
    found = sorted([*folder.glob("*/model.json"), *folder.glob("models/*/model.json")])
    return f"; name one of the models below it: {found[0].parent}" if found else ""


def _read_description(path: Path) -> dict[str, Any]:
    try:
        description = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ModelError(f"model: expected JSON in {path}, got {error}") from error
    if not isinstance(description, dict) or description.get("schema") != SCHEMA:
        raise ModelError(f'model: expected "schema": {SCHEMA} in {path}, got another or none')
    if missing := {"space_id", "specification"} - description.keys():
        raise ModelError(f"model: expected {' and '.join(sorted(missing))} in {path}, got none")
    return description


def _read_tensors(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise ModelError(f"model: expected the weights, got no file at {path}")
    try:
        return safetensors.torch.load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"model: expected safetensors in {path}, got {error}") from error


def _model(spec: ModelSpec, tensors: Mapping[str, Tensor]) -> EmbeddingModel:
    with torch.device("meta"):  # no time spent on drawing weights that are replaced
        model = EmbeddingModel(spec)
    try:
        model.load_state_dict(tensors, assign=True)
    except RuntimeError as error:
        found = " ".join(str(error).split())
        raise ModelError(
            f"model: expected the tensors of its specification, got {found}"
        ) from error
    return model.eval()


def _read_golden(path: Path, photos: int, dimension: int) -> Vectors:
    try:
        vectors = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ModelError(f"model: expected golden vectors in {path}, got {error}") from error
    if vectors.shape != (photos, dimension) or vectors.dtype != np.float32:
        raise ModelError(
            f"model: expected float32 {photos} x {dimension} in {path}, a row for each golden "
            f"photo, got {vectors.dtype} {vectors.shape}"
        )
    return np.asarray(vectors, np.float32)
