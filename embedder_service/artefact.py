"""What `lookalike model compile` leaves beside a model: a pod need not make it at the start.

    compiled/<kind>/artefact.json   schema, space_id, made_with, files (size, SHA-256), figures
    compiled/<kind>/...             the engine's own files

It is data, never code. Written under a temporary name and renamed: whole or not at all. One that is
damaged, or was made with something else than runs here, is not used.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from embedder_service.acceptance import Figures

SCHEMA = 1
_DESCRIPTION = "artefact.json"


@dataclass(frozen=True)
class Artefact:
    """One that was checked. `figures` are those of each precision, on the maker's machine."""

    folder: Path
    figures: Mapping[str, Figures]


class Unusable(Exception):
    """`state` is none, damaged or foreign."""

    def __init__(self, state: str, message: str) -> None:
        super().__init__(message)
        self.state = state


def write(
    model_folder: Path,
    kind: str,
    space_id: str,
    made_with: Mapping[str, str],
    figures: Mapping[str, Figures],
    fill: Callable[[Path], object],
) -> Path:
    """`fill` writes the engine's files into the folder it is given; one of the kind is replaced."""
    compiled = model_folder / "compiled"
    compiled.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".compiling-", dir=compiled) as temporary:
        folder = Path(temporary, kind)
        folder.mkdir()
        fill(folder)
        description = {
            "schema": SCHEMA,
            "space_id": space_id,
            "made_with": dict(made_with),
            "files": {path.name: _facts(path) for path in sorted(folder.iterdir())},
            "figures": {precision: asdict(each) for precision, each in figures.items()},
        }
        (folder / _DESCRIPTION).write_text(json.dumps(description, indent=2))
        if (compiled / kind).exists():
            (compiled / kind).rename(Path(temporary, "replaced"))
        return folder.rename(compiled / kind)


def read(model_folder: Path, kind: str, space_id: str, made_with: Mapping[str, str]) -> Artefact:
    """The one of this kind for this space, made with what runs here. Raises Unusable."""
    folder = model_folder / "compiled" / kind
    if not folder.is_dir():
        raise Unusable("none", f"artefact: expected {folder}, got none")
    try:
        description = json.loads((folder / _DESCRIPTION).read_text())
        _expect_same(description, {"schema": SCHEMA, "space_id": space_id})
        _expect_same(description["made_with"], made_with)
        for name, facts in description["files"].items():
            if _facts(folder / Path(name).name) != facts:
                raise Unusable("damaged", f"artefact: expected {name} as it was made, got another")
        return Artefact(folder, _figures(description["figures"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unusable(
            "damaged", f"artefact: expected a whole one in {folder}, got {error!r}"
        ) from error


def _expect_same(got: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    for name, value in expected.items():
        if got[name] != value:
            raise Unusable("foreign", f"artefact: expected {name} {value}, got {got[name]}")


def _facts(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"bytes": path.stat().st_size, "sha256": digest}


def _figures(described: Mapping[str, Mapping[str, Any]]) -> dict[str, Figures]:
    return {precision: Figures(**each) for precision, each in described.items()}
