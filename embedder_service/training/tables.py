"""CSV and Parquet alike: the names of the columns, and rows that know where they stand."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embedder_service.training.data import CatalogueError
from embedder_service.training.rows import Place, text_of

Row = tuple[Place, Mapping[str, Any]]


@dataclass(frozen=True)
class Table:
    """Columns by name, and the rows, to be read once."""

    names: tuple[str, ...]
    rows: Iterator[Row]


def read_table(path: Path, columns: Collection[str] = ()) -> Table:
    """A CSV's values are texts, a Parquet file's what it holds. Raises CatalogueError.

    So do the rows while they are read. Of a Parquet file they have these `columns` alone: another
    may hold the pictures themselves.
    """
    return _parquet(path, columns) if path.suffix.lower() == ".parquet" else _csv(path)


def _csv(path: Path) -> Table:
    lines = _csv_lines(path)
    _, names = next(lines, (Place(path, 1), []))
    return Table(tuple(name.strip() for name in names), _csv_rows(names, lines))


def _csv_rows(names: list[str], lines: Iterator[tuple[Place, list[str]]]) -> Iterator[Row]:
    for place, values in lines:
        if len(values) != len(names):
            raise place.error(f"{len(names)} columns", ",".join(values))
        yield place, {name.strip(): value for name, value in zip(names, values, strict=True)}


def _csv_lines(path: Path) -> Iterator[tuple[Place, list[str]]]:
    """Rows with the line each begins on: a quoted value may go over several."""
    lines = csv.reader(io.StringIO(text_of(path), newline=""), strict=True)
    while True:
        place = Place(path, lines.line_num + 1)
        try:
            values = next(lines)
        except StopIteration:
            return
        except csv.Error as error:
            raise place.error("values of a CSV", str(error)) from error
        if values:
            yield place, values


def _parquet(path: Path, columns: Collection[str]) -> Table:
    # 0.2 s to import, for those alone who have such a file.
    import pyarrow as pa
    import pyarrow.parquet as pq

    def rows() -> Iterator[Row]:
        try:
            batches = file.iter_batches(columns=[name for name in names if name in columns])
            every = (row for batch in batches for row in batch.to_pylist())
            for number, row in enumerate(every, 1):
                yield Place(path, number, "row"), row
        except (pa.ArrowException, OSError) as error:
            raise CatalogueError(f"{path}: expected a whole Parquet file, got {error}") from error

    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise CatalogueError(f"{path}: expected a Parquet file, got {error}") from error
    names = tuple(file.schema_arrow.names)
    return Table(names, rows())
