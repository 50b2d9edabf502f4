"""DeepFashion's list files, whichever benchmark's.

The first line is the count, the second the column names; then columns padded with blanks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from embedder_service.training.data import Box, CatalogueError, Split
from embedder_service.training.rows import Place, text_of

LIST_FOLDERS = ("Anno", "Anno_coarse", "Eval", ".")
# img.zip lies in Img: it is unpacked there, beside it, or into it.
IMAGE_FOLDERS = ("img", "Img/img", "Img")


@dataclass(frozen=True, slots=True)
class Row(Place):
    """A line of a list. The fields are in the order of its columns."""

    values: tuple[str, ...] = ()

    def whole(self, column: int) -> int:
        """The value of a column as a whole number."""
        try:
            return int(self.values[column])
        except ValueError:
            raise self.error("a whole number", self.values[column]) from None

    def box(self) -> Box:
        """The last four columns."""
        return (self.whole(-4), self.whole(-3), self.whole(-2), self.whole(-1))

    def split(self, known: Sequence[Split]) -> Split:
        """The last column, one of the words that are known."""
        for split in known:
            if split == self.values[-1]:
                return split
        raise self.error(" or ".join(known), self.values[-1])


def find_list(folder: Path, name: str) -> Path | None:
    """Where a list lies, if it does."""
    places = (folder / place / name for place in LIST_FOLDERS)
    return next((path for path in places if path.is_file()), None)


def missing(folder: Path, name: str) -> str:
    """What to say of a list that is not there."""
    *below, _ = LIST_FOLDERS
    return f"{name}: expected it in {folder}, or there in {', '.join(below)}, found none"


def column_names(path: Path) -> list[str]:
    """A list's second line."""
    with path.open(encoding="utf-8-sig", errors="replace") as lines:
        next(lines, "")
        return next(lines, "").split()


def read_list(folder: Path, name: str, columns: int) -> Iterator[Row]:
    """A list's rows, checked against its count and the number of its columns.

    The first column may hold blanks, the others not. Raises CatalogueError.
    """
    path = find_list(folder, name)
    if path is None:
        raise CatalogueError(missing(folder, name))
    count, names, *lines = [*text_of(path).split("\n"), ""]
    if not count.strip().isdecimal():
        raise Place(path, 1).error("the number of rows", count)
    if len(names.split()) != columns:
        raise Place(path, 2).error(f"the names of {columns} columns", names)
    found = 0
    for number, line in enumerate(lines, 3):
        if not line.strip():
            continue
        values = tuple(line.strip().rsplit(None, columns - 1))
        if len(values) != columns:
            raise Place(path, number).error(f"{columns} columns", " ".join(values))
        found += 1
        yield Row(path, number, values=(values[0].rstrip(), *values[1:]))
    if found != int(count):
        raise Place(path, 1).error(f"{found}, the number of rows below", count.strip())


class Images:
    """Where the lists' images are: their names begin with img/."""

    def __init__(self, folder: Path) -> None:
        found = next((name for name in IMAGE_FOLDERS if (folder / name).is_dir()), None)
        if found is None:
            raise CatalogueError(
                f"img: expected it in {folder} as {', '.join(IMAGE_FOLDERS)}, found none"
            )
        self._folder = folder / found
        self._lines: dict[str, int] = {}

    def path(self, row: Row) -> Path:
        """The file that a row's first column names, each once. Raises CatalogueError."""
        first, _, rest = row.values[0].partition("/")
        if first != "img" or ".." in rest.split("/"):
            raise row.error("a path that begins with img/", row.values[0])
        line = self._lines.setdefault(rest, row.number)
        if line != row.number:
            raise row.error(f"another image than line {line}", row.values[0])
        path = self._folder / rest
        if not path.is_file():
            raise row.error(f"an image below {self._folder}", row.values[0])
        return path


def read_boxes(folder: Path, name: str, columns: int) -> tuple[dict[str, Box], tuple[str, ...]]:
    """Boxes by image, and a note where there is no such list: photos are then read whole."""
    if find_list(folder, name) is None:
        return {}, (f"{missing(folder, name)}: photos are read whole",)
    return {row.values[0]: row.box() for row in read_list(folder, name, columns)}, ()
