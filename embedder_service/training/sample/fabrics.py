"""The cloths that items share: a few harmonious colours, and prints drawn as square swatches."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Colour = tuple[int, int, int]

COLOURS: dict[str, Colour] = {
    "ink": (46, 58, 87),
    "indigo": (63, 84, 122),
    "sky": (146, 178, 203),
    "teal": (58, 115, 118),
    "sage": (147, 165, 138),
    "forest": (66, 92, 76),
    "mustard": (211, 166, 74),
    "rust": (186, 101, 72),
    "blush": (222, 178, 168),
    "berry": (140, 66, 84),
    "lilac": (178, 166, 198),
    "camel": (192, 156, 116),
    "oat": (222, 210, 189),
    "cream": (241, 234, 219),
    "white": (246, 245, 242),
    "grey": (150, 152, 156),
    "charcoal": (72, 75, 82),
    "black": (45, 46, 50),
}

SWATCH = 480  # pixels; a garment's cutout is smaller, so that each item starts elsewhere in it
_FINE = 2  # swatches are drawn at twice their size, then reduced


@dataclass(frozen=True)
class Fabric:
    """A colour and a print, with the colours that go with them."""

    colour: str
    print_name: str
    second: str
    trim: str

    @property
    def words(self) -> str:
        """As an item's name says it."""
        return f"{self.colour.title()}_{self.print_name.title().replace(' ', '-')}"


def _fabric(colour: str, print_name: str, second: str = "", trim: str = "") -> Fabric:
    return Fabric(colour, print_name, second or colour, trim or colour)


FABRICS: dict[str, Fabric] = {
    "ink plain": _fabric("ink", "plain"),
    "sage plain": _fabric("sage", "plain"),
    "rust plain": _fabric("rust", "plain"),
    "mustard plain": _fabric("mustard", "plain"),
    "cream plain": _fabric("cream", "plain", "oat"),
    "blush plain": _fabric("blush", "plain"),
    "black plain": _fabric("black", "plain", "charcoal"),
    "teal plain": _fabric("teal", "plain"),
    "ink stripe": _fabric("cream", "stripe", "ink", "ink"),
    "rust stripe": _fabric("cream", "stripe", "rust", "rust"),
    "sky pinstripe": _fabric("sky", "pinstripe", "white", "sky"),
    "charcoal pinstripe": _fabric("charcoal", "pinstripe", "grey", "charcoal"),
    "sage gingham": _fabric("sage", "gingham", "white", "sage"),
    "berry gingham": _fabric("berry", "gingham", "white", "berry"),
    "forest tartan": _fabric("forest", "tartan", "mustard", "forest"),
    "berry tartan": _fabric("berry", "tartan", "ink", "berry"),
    "ink dots": _fabric("ink", "dots", "cream", "ink"),
    "blush dots": _fabric("blush", "dots", "berry", "berry"),
    "cream floral": _fabric("cream", "floral", "berry", "berry"),
    "ink floral": _fabric("ink", "floral", "blush", "ink"),
    "teal leaf": _fabric("oat", "leaf", "teal", "teal"),
    "indigo denim": _fabric("indigo", "denim", "sky", "indigo"),
    "sky denim": _fabric("sky", "denim", "white", "sky"),
    "black denim": _fabric("black", "denim", "grey", "black"),
    "oat melange": _fabric("oat", "melange", "camel", "camel"),
    "grey melange": _fabric("grey", "melange", "charcoal", "charcoal"),
    "lilac melange": _fabric("lilac", "melange", "white", "lilac"),
    "camel herringbone": _fabric("camel", "herringbone", "oat", "camel"),
    "charcoal herringbone": _fabric("charcoal", "herringbone", "grey", "charcoal"),
    "rust corduroy": _fabric("rust", "corduroy"),
    "forest corduroy": _fabric("forest", "corduroy"),
}


@lru_cache(maxsize=64)
def swatch(fabric: Fabric) -> NDArray[np.float32]:
    """The print as [SWATCH, SWATCH, 3] floats of 0..255, woven texture included."""
    size = SWATCH * _FINE
    picture = Image.new("RGB", (size, size), COLOURS[fabric.colour])
    _PRINTS[fabric.print_name](picture, fabric)
    woven = np.asarray(picture.reduce(_FINE), np.float32)
    return np.asarray(np.clip(woven * _weave(fabric.print_name), 0, 255), np.float32)


def _weave(print_name: str) -> NDArray[np.float32]:
    rng = np.random.default_rng(7)
    coarse = {"melange": 0.05, "denim": 0.06, "herringbone": 0.05, "corduroy": 0.03}
    grain = rng.normal(1, coarse.get(print_name, 0.018), (SWATCH, SWATCH, 1))
    if print_name == "denim":
        y, x = np.mgrid[:SWATCH, :SWATCH]
        grain += 0.035 * np.sin((x + y * 0.6)[..., None] * 2.1)
    if print_name == "corduroy":
        grain += 0.09 * np.sin(np.arange(SWATCH)[None, :, None] * 2 * math.pi / 6)
    return grain.astype(np.float32)


def _plain(picture: Image.Image, fabric: Fabric) -> None:
    """Nothing on it."""


def _bands(picture: Image.Image, colour: Colour, period: int, width: int, upright: bool) -> None:
    draw = ImageDraw.Draw(picture)
    size = picture.width
    for start in range(0, size, period):
        end = start + width - 1
        draw.rectangle((start, 0, end, size) if upright else (0, start, size, end), fill=colour)


def _stripe(picture: Image.Image, fabric: Fabric) -> None:
    _bands(picture, COLOURS[fabric.second], 32, 12, upright=False)


def _pinstripe(picture: Image.Image, fabric: Fabric) -> None:
    _bands(picture, COLOURS[fabric.second], 22, 4, upright=True)


def _see_through(
    picture: Image.Image, fabric: Fabric, period: int, width: int, share: float
) -> None:
    """Bands across and upright that darken where they cross, as woven checks do."""
    for upright in (False, True):
        over = picture.copy()
        _bands(over, COLOURS[fabric.second], period, width, upright)
        picture.paste(Image.blend(picture, over, share))


def _gingham(picture: Image.Image, fabric: Fabric) -> None:
    _see_through(picture, fabric, 32, 16, 0.55)


def _tartan(picture: Image.Image, fabric: Fabric) -> None:
    dark = Fabric(fabric.colour, "tartan", "black", fabric.trim)
    _see_through(picture, dark, 88, 34, 0.4)
    _see_through(picture, fabric, 88, 7, 0.7)
    light = Fabric(fabric.colour, "tartan", "cream", fabric.trim)
    shifted = picture.transform(picture.size, Image.Transform.AFFINE, (1, 0, 40, 0, 1, 40))
    _see_through(shifted, light, 88, 3, 0.5)
    picture.paste(shifted.crop((0, 0, picture.width - 40, picture.height - 40)), (0, 0))


def _scattered(step: int, jitter: int, size: int, seed: int) -> list[tuple[int, int, float]]:
    """Places on a brick grid, each with an angle."""
    rng = np.random.default_rng(seed)
    places = []
    for row, y in enumerate(range(0, size + step, step)):
        for x in range(0, size + step, step):
            dx, dy = rng.integers(-jitter, jitter + 1, 2)
            places.append(
                (x + step // 2 * (row % 2) + int(dx), y + int(dy), float(rng.random() * 6.3))
            )
    return places


def _disc(draw: ImageDraw.ImageDraw, x: float, y: float, radius: float, colour: Colour) -> None:
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)


def _dots(picture: Image.Image, fabric: Fabric) -> None:
    draw = ImageDraw.Draw(picture)
    for x, y, _ in _scattered(28, 0, picture.width, 1):
        _disc(draw, x, y, 6, COLOURS[fabric.second])


def _floral(picture: Image.Image, fabric: Fabric) -> None:
    draw = ImageDraw.Draw(picture)
    for x, y, angle in _scattered(58, 8, picture.width, 2):
        _leaf_shape(draw, x + 16, y + 14, angle, 11, COLOURS["sage"])
        _leaf_shape(draw, x + 10, y + 20, angle + 1.2, 10, COLOURS["sage"])
        for petal in range(5):
            turn = angle + petal * 2 * math.pi / 5
            _disc(draw, x + 8 * math.cos(turn), y + 8 * math.sin(turn), 6.5, COLOURS[fabric.second])
        _disc(draw, x, y, 4.5, COLOURS["mustard"])


def _leaf(picture: Image.Image, fabric: Fabric) -> None:
    draw = ImageDraw.Draw(picture)
    for x, y, angle in _scattered(46, 5, picture.width, 3):
        colour = COLOURS[fabric.second if (x + y) % 3 else "sage"]
        for turn in (-0.7, 0.0, 0.7):
            _leaf_shape(draw, x, y, angle + turn, 19, colour)


def _leaf_shape(
    draw: ImageDraw.ImageDraw, x: float, y: float, angle: float, length: float, colour: Colour
) -> None:
    t = np.linspace(0, math.pi, 12)
    along, across = length * (1 - np.cos(t)) / 2, length * 0.2 * np.sin(t)
    upper = _turned(x, y, angle, along, across)
    lower = _turned(x, y, angle, along[::-1], -across[::-1])
    draw.polygon([*upper, *lower], fill=colour)


def _turned(
    x: float, y: float, angle: float, u: NDArray[np.float64], v: NDArray[np.float64]
) -> list[tuple[float, float]]:
    cosine, sine = math.cos(angle), math.sin(angle)
    return [
        (x + float(a) * cosine - float(b) * sine, y + float(a) * sine + float(b) * cosine)
        for a, b in zip(u, v, strict=True)
    ]


def _denim(picture: Image.Image, fabric: Fabric) -> None:
    """Washed: paler in large soft clouds."""
    rng = np.random.default_rng(5)
    cloud = Image.fromarray(rng.integers(0, 256, (9, 9), np.uint8)).resize(
        picture.size, Image.Resampling.BICUBIC
    )
    pale = Image.new("RGB", picture.size, COLOURS[fabric.second])
    picture.paste(pale, mask=cloud.point([value * 60 // 255 for value in range(256)]))


def _melange(picture: Image.Image, fabric: Fabric) -> None:
    rng = np.random.default_rng(6)
    flecks = Image.fromarray(
        rng.integers(0, 256, (picture.height // 3, picture.width // 8), np.uint8)
    )
    flecks = flecks.resize(picture.size).filter(ImageFilter.BoxBlur(2))
    second = Image.new("RGB", picture.size, COLOURS[fabric.second])
    picture.paste(second, mask=flecks.point([max(0, value - 90) * 5 // 4 for value in range(256)]))


def _herringbone(picture: Image.Image, fabric: Fabric) -> None:
    draw = ImageDraw.Draw(picture)
    size, half, step = picture.width, 18, 10
    for column in range(0, size, 2 * half):
        for y in range(-half, size + half, step):
            zigzag = [(column, y), (column + half, y + half), (column + 2 * half, y)]
            draw.line(zigzag, fill=COLOURS[fabric.second], width=3)


_PRINTS: dict[str, Callable[[Image.Image, Fabric], None]] = {
    "plain": _plain,
    "stripe": _stripe,
    "pinstripe": _pinstripe,
    "gingham": _gingham,
    "tartan": _tartan,
    "dots": _dots,
    "floral": _floral,
    "leaf": _leaf,
    "denim": _denim,
    "melange": _melange,
    "herringbone": _herringbone,
    "corduroy": _plain,
}
