"""Which photos a catalogue has: the image files below folders, joined with its own table."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from embedder_service.training.data import box_of
from lookalike_cli.catalogue import Failure, Photograph

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})


def find_photographs(paths: Sequence[Path]) -> list[Photograph]:
    """Sorted by folder; a photo's id is its path below the folder given, or its name as a file."""
    found: dict[str, Photograph] = {}
    for photo_id, path in (pair for root in paths for pair in _below(root)):
        if photo_id in found:
            raise click.ClickException(
                f"{path}: expected a photo id of its own, got {photo_id},"
                f" which is {found[photo_id].path}; embed their common folder instead"
            )
        found[photo_id] = Photograph(photo_id, path, item_id=photo_id)
    if not found:
        kinds, folders = ", ".join(sorted(SUFFIXES)), ", ".join(map(str, paths))
        raise click.ClickException(f"{folders}: expected image files ({kinds}), got none")
    return list(found.values())


def join_table(
    photographs: Sequence[Photograph], table: Path
) -> tuple[list[Photograph], list[Failure]]:
    """The photos with the columns of their rows; and the rows whose photo is not there.

    table: a CSV with a column photo_id; item_id and any others are carried along, but for `box`:
    left top right bottom in pixels. Photos without a row stay, whole, with empty columns: each its
    own item.
    """
    rows = _read_table(table)
    by_id = {photo.photo_id: photo for photo in photographs}
    missing = [
        Failure(photo_id, "NO_SUCH_FILE", f"{table.name} names it, and no folder given holds it")
        for photo_id in rows
        if photo_id not in by_id
    ]
    return [_joined(photo, rows.get(photo.photo_id, {})) for photo in photographs], missing


def _below(root: Path) -> Iterator[tuple[str, Path]]:
    if root.is_file():
        yield root.name, root
        return
    for path in sorted(root.rglob("*")):
        if path.suffix.lower() in SUFFIXES and path.is_file():
            yield path.relative_to(root).as_posix(), path


def _read_table(table: Path) -> dict[str, dict[str, str]]:
    rows: dict[str, dict[str, str]] = {}
    with table.open(newline="", encoding="utf-8-sig") as lines:
        reader = csv.DictReader(lines)
        if "photo_id" not in (reader.fieldnames or ()):
            raise click.ClickException(
                f"{table}: expected a column photo_id, got {', '.join(reader.fieldnames or ())}"
            )
        for row in reader:
            photo_id = row.pop("photo_id")
            if photo_id in rows or None in row or None in row.values():
                raise click.ClickException(
                    f"{table}, line {reader.line_num}: expected a photo_id of its own and a value"
                    f" a column, got {photo_id}"
                )
            _check_box(table, reader.line_num, row.get("box") or "")
            rows[photo_id] = row
    return rows


def _check_box(table: Path, line: int, text: str) -> None:
    try:
        box_of(text)
    except ValueError:
        raise click.ClickException(
            f"{table}, line {line}, box: expected left top right bottom in pixels, got {text}"
        ) from None


def _joined(photo: Photograph, row: dict[str, str]) -> Photograph:
    columns = {name: value for name, value in row.items() if name not in ("item_id", "box")}
    item_id = row.get("item_id") or photo.item_id
    return Photograph(photo.photo_id, photo.path, item_id, columns, box_of(row.get("box") or ""))
