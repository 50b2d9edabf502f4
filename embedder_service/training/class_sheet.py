"""A picture of what a catalogue shows: a row of photos for each class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from embedder_service.spec import Preprocessing
from embedder_service.training.boxes import read_photo
from embedder_service.training.data import Catalogue, Photo

_MOST_ROWS = 40
_COLUMNS = 10
_SIDE, _GAP, _MARGIN = 96, 4, 16
_PITCH = _SIDE + _GAP
_NAMES, _TITLE = 170, 40
_INK, _PALE, _PAPER = "#1d232b", "#6b7682", "#ffffff"
_NO_CLASS = "no class known"


def draw_classes(path: Path, catalogue: Catalogue) -> None:
    """Writes a picture; the suffix says which kind. The largest classes, over all their photos.

    Photos are read as a training reads them: their boxes alone, where they have boxes.
    """
    classes = _classes(catalogue)
    rows = list(classes.items())[:_MOST_ROWS]
    width = 2 * _MARGIN + _NAMES + _COLUMNS * _PITCH - _GAP
    sheet = Image.new("RGB", (width, 2 * _MARGIN + _TITLE + len(rows) * _PITCH - _GAP), _PAPER)
    draw = ImageDraw.Draw(sheet)
    of_all = f", the largest {len(rows)} of {len(classes)} classes" * (len(rows) < len(classes))
    draw.text((_MARGIN, _MARGIN), f"{catalogue.folder.name}{of_all}", _INK, _font(18))
    for number, (name, photos) in enumerate(rows):
        top = _MARGIN + _TITLE + number * _PITCH
        draw.text((_MARGIN, top + 28), _cut(name), _INK, _font(14))
        draw.text((_MARGIN, top + 48), f"{len(photos):,} photos", _PALE, _font(12))
        for column, photo in enumerate(_spread(photos)):
            sheet.paste(_square(photo), (_MARGIN + _NAMES + column * _PITCH, top))
    sheet.save(path)


def _classes(catalogue: Catalogue) -> dict[str, list[Photo]]:
    """The most photos first."""
    found: dict[str, list[Photo]] = {}
    for photo in catalogue.photos:
        found.setdefault(photo.category or _NO_CLASS, []).append(photo)
    return dict(sorted(found.items(), key=lambda pair: (-len(pair[1]), pair[0])))


def _spread(photos: Sequence[Photo]) -> list[Photo]:
    """So many that they fill a row, evenly over all; of different items, where there are enough."""
    of_items = list({photo.item_id: photo for photo in reversed(photos)}.values())[::-1]
    photos = of_items if len(of_items) >= _COLUMNS else photos
    count = min(_COLUMNS, len(photos))
    return [photos[(2 * place + 1) * len(photos) // (2 * count)] for place in range(count)]


def _square(photo: Photo) -> Image.Image:
    pixels = read_photo(photo, Preprocessing(resize=_SIDE, crop=_SIDE))
    return Image.fromarray(pixels.transpose(1, 2, 0))


def _cut(text: str) -> str:
    while _font(14).getlength(text) > _NAMES - _GAP:
        text = text[:-2] + "…"
    return text


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
