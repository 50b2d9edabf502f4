"""The contact sheet: a query at the left, its neighbours at the right, with what is known."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from embedder_service import images
from embedder_service.spec import Preprocessing

TILE = 168
CAPTION = 88
LINE = 15
GAP = 14
MARGIN = 28
HEADER = 78
INK, PALE, PAPER = "#1d232b", "#6b7682", "#ffffff"
RIGHT, OTHER = "#2f9e63", "#d5dae0"


@dataclass(frozen=True)
class Tile:
    """A photo and the lines below it; `same_item` frames it."""

    path: Path
    title: str
    lines: tuple[str, ...]
    same_item: bool = False


@dataclass(frozen=True)
class Row:
    """A query and its neighbours, the nearest first."""

    query: Tile
    neighbours: tuple[Tile, ...]


def draw_sheet(path: Path, heading: str, subheading: str, rows: Sequence[Row]) -> None:
    """Writes a PNG."""
    # Five at least, so that the heading has room.
    columns = max(5, *(1 + len(row.neighbours) for row in rows))
    width = 2 * MARGIN + columns * (TILE + GAP) + 2 * GAP
    height = HEADER + MARGIN + len(rows) * (TILE + CAPTION + GAP)
    sheet = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, 20), heading, INK, _font(24))
    draw.text((MARGIN, 52), subheading, PALE, _font(14))
    split = MARGIN + TILE + int(1.5 * GAP)
    draw.line([(split, HEADER + 6), (split, height - MARGIN)], OTHER, 2)
    for number, row in enumerate(rows):
        top = HEADER + 10 + number * (TILE + CAPTION + GAP)
        _draw_tile(sheet, draw, row.query, MARGIN, top)
        for place, tile in enumerate(row.neighbours):
            left = MARGIN + (place + 1) * (TILE + GAP) + 2 * GAP
            _draw_tile(sheet, draw, tile, left, top)
    sheet.save(path, optimize=True)


def draw_grid(path: Path, photos: Sequence[Path], columns: int) -> None:
    """Writes a JPEG of photos side by side."""
    rows = -(-len(photos) // columns)
    side = TILE * 3 // 4
    grid = Image.new("RGB", (columns * (side + 4) - 4, rows * (side + 4) - 4), PAPER)
    for number, photo in enumerate(photos):
        row, column = divmod(number, columns)
        grid.paste(_square(photo, side), (column * (side + 4), row * (side + 4)))
    grid.save(path, quality=88)


def _square(path: Path, side: int) -> Image.Image:
    """As the model sees it: upright, on white, its middle."""
    (pixels,) = images.read(path.read_bytes(), Preprocessing(resize=side, crop=side))
    return Image.fromarray(pixels.transpose(1, 2, 0))


def _draw_tile(
    sheet: Image.Image, draw: ImageDraw.ImageDraw, tile: Tile, left: int, top: int
) -> None:
    sheet.paste(_square(tile.path, TILE), (left, top))
    if tile.same_item:
        draw.rectangle([left - 3, top - 3, left + TILE + 2, top + TILE + 2], outline=RIGHT, width=4)
    lines = [(line, INK) for line in _wrapped(tile.title)]
    lines += [(_cut(line), PALE) for line in tile.lines if line]
    for number, (line, colour) in enumerate(lines):
        draw.text((left, top + TILE + 6 + LINE * number), line, colour, _font(12))


def _wrapped(text: str) -> list[str]:
    """At most two lines, broken where an id has a mark to break at."""
    font = _font(12)
    if font.getlength(text) <= TILE:
        return [text]
    cut = max(range(1, len(text)), key=lambda at: (font.getlength(text[:at]) <= TILE, at))
    marks = [at + 1 for at in range(cut // 2, cut) if text[at] in "_-/ ."]
    cut = marks[-1] if marks else cut
    return [text[:cut], _cut(text[cut:])]


def _cut(text: str) -> str:
    while _font(12).getlength(text) > TILE:
        text = text[:-2] + "…"
    return text


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
