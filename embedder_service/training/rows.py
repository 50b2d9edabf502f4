"""Rows of files that say what a catalogue holds; each knows where it stands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from embedder_service.training.data import CatalogueError


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file; `unit` is what its rows are counted in."""

    path: Path
    number: int
    unit: str = "line"

    def error(self, expected: str, got: object, field: str = "") -> CatalogueError:
        """What to raise."""
        where = f"{self.path}, {self.unit} {self.number}" + (f", {field}" if field else "")
        return CatalogueError(f"{where}: expected {expected}, got {got!r}")


def text_of(path: Path) -> str:
    """A whole file in UTF-8, with or without its mark. Raises CatalogueError."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise CatalogueError(f"{path}: expected a file, got {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise Place(path, line).error("UTF-8", error.object[error.start : error.end]) from error
