"""A garment painted: panels of printed cloth, shaded, with seams, on a transparent square."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from embedder_service.training.sample.fabrics import COLOURS, SWATCH, Fabric, swatch
from embedder_service.training.sample.parts import Button, Garment, Line, Panel, Points

CUTOUT = 320  # pixels, the side of the transparent square
_MARGIN = 8
_FINE = 2  # masks are drawn at twice the size, then reduced, for soft edges

Floats = NDArray[np.float32]
Window = tuple[slice, slice]


def cutout(garment: Garment, fabric: Fabric, rng: np.random.Generator) -> Image.Image:
    """The garment as RGBA, CUTOUT x CUTOUT, as large as fits, in the middle."""
    return _Painter(garment, fabric, rng).picture()


class _Painter:
    """Paints part after part, from the back to the front."""

    def __init__(self, garment: Garment, fabric: Fabric, rng: np.random.Generator) -> None:
        self._fabric = fabric
        self._offset = rng.integers(0, SWATCH - CUTOUT, 2)
        self._scale, self._shift = _fit(garment)
        base = swatch(fabric).mean((0, 1))
        self._rgb = np.broadcast_to(base, (CUTOUT, CUTOUT, 3)).astype(np.float32)
        self._alpha = np.zeros((CUTOUT, CUTOUT, 1), np.float32)
        for part in garment:
            self._paint(part)
        self._rgb *= _drape(rng)

    def picture(self) -> Image.Image:
        layers = np.concatenate([np.clip(self._rgb, 0, 255), self._alpha * 255], 2)
        return Image.fromarray(layers.astype(np.uint8), "RGBA")

    def _paint(self, part: Panel | Line | Button) -> None:
        if isinstance(part, Panel):
            self._panel(part)
        elif isinstance(part, Line):
            self._line(part)
        else:
            self._button(part)

    def _panel(self, panel: Panel) -> None:
        corners = self._pixels(panel.outline)
        window = _window(corners, 14)
        mask = _polygon(corners, window)
        soft = _blurred(mask, 7)
        self._throw_shadow(window, soft, panel.lift)
        light = 0.80 + 0.22 * np.clip(soft * 2 - 0.9, 0, 1) + _slope(soft)
        colour = self._cloth(panel, window) * (light * (1 + panel.tone))
        self._rgb[window] += (colour - self._rgb[window]) * mask
        self._alpha[window] = np.maximum(self._alpha[window], mask)

    def _throw_shadow(self, window: Window, soft: Floats, lift: float) -> None:
        if lift:
            fallen = np.roll(soft, 3, 0)
            self._rgb[window] *= 1 - 0.42 * lift * fallen

    def _cloth(self, panel: Panel, window: Window) -> Floats:
        if panel.cloth in ("trim", "lining"):
            colour = np.array(COLOURS[self._fabric.trim], np.float32)
            return colour * np.float32(0.52 if panel.cloth == "lining" else 0.94)
        if panel.cloth == "plain" and self._fabric.print_name == "stripe":
            return np.array(COLOURS[self._fabric.colour], np.float32)
        return _sampled(swatch(self._fabric), window, panel.grain_degrees, self._offset)

    def _line(self, line: Line) -> None:
        spots = self._pixels(line.points)
        window = _window(spots, 12)
        width = line.width * self._scale
        inside = self._alpha[window]
        if line.kind == "fold":
            mark = _blurred(_stroke(spots, window, width), 2.5) * inside
            self._rgb[window] *= (
                1 - line.depth * 0.9 * mark + line.depth * 0.55 * np.roll(mark, 4, 1)
            )
        elif line.kind == "stitch":
            mark = _stroke(_dashes(spots), window, max(width * 0.7, 0.9), dashed=True) * inside
            self._rgb[window] *= 1 - 0.2 * mark
        else:
            mark = _stroke(spots, window, max(width, 1.0)) * inside
            self._rgb[window] *= 1 - line.depth * mark

    def _button(self, button: Button) -> None:
        centre = self._pixels(np.array([button.centre]))
        radius = max(button.radius * self._scale, 1.4)
        window = _window(centre, int(radius) + 5)
        mask = _disc(centre[0], radius, window)
        colour = np.array(COLOURS[self._fabric.trim], np.float32)
        light = 1.5 if colour.mean() < 120 else 0.55
        self._throw_shadow(window, _blurred(mask, 1.5), 0.8)
        shade = np.clip(colour * (light + button.tone) + 18, 0, 255)
        self._rgb[window] += (shade - self._rgb[window]) * mask
        eye = _disc(centre[0], radius * 0.3, window)
        self._rgb[window] *= 1 - 0.35 * eye

    def _pixels(self, shape: Points) -> Points:
        return shape * self._scale + self._shift


def _fit(garment: Garment) -> tuple[float, Points]:
    """Pixels a centimetre, and where the origin lies."""
    panels = np.concatenate([part.outline for part in garment if isinstance(part, Panel)])
    low, high = panels.min(0), panels.max(0)
    scale = float((CUTOUT - 2 * _MARGIN) / (high - low).max())
    return scale, CUTOUT / 2 - (low + high) / 2 * scale


def _window(spots: Points, margin: int) -> Window:
    """The part of the square that a shape and its blur can touch."""
    low = np.clip(np.floor(spots.min(0)).astype(int) - margin, 0, CUTOUT - 1)
    high = np.clip(np.ceil(spots.max(0)).astype(int) + margin, 1, CUTOUT)
    return slice(low[1], max(high[1], low[1] + 1)), slice(low[0], max(high[0], low[0] + 1))


def _canvas(window: Window) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    height, width = window[0].stop - window[0].start, window[1].stop - window[1].start
    image = Image.new("L", (width * _FINE, height * _FINE))
    return image, ImageDraw.Draw(image)


def _local(spots: Points, window: Window) -> list[tuple[float, float]]:
    moved = (spots - (window[1].start, window[0].start)) * _FINE
    return [(float(x), float(y)) for x, y in moved]


def _mask(image: Image.Image) -> Floats:
    return np.asarray(image.reduce(_FINE), np.float32)[..., None] / np.float32(255)


def _polygon(corners: Points, window: Window) -> Floats:
    image, draw = _canvas(window)
    draw.polygon(_local(corners, window), fill=255)
    return _mask(image)


def _stroke(spots: Points, window: Window, width: float, dashed: bool = False) -> Floats:
    image, draw = _canvas(window)
    local = _local(spots, window)
    pen = max(1, round(width * _FINE))
    if dashed:
        for start, end in zip(local[::2], local[1::2], strict=False):
            draw.line((start, end), fill=255, width=pen)
    else:
        draw.line(local, fill=255, width=pen, joint="curve")
    return _mask(image)


def _dashes(spots: Points, dash: float = 4.0) -> Points:
    """Starts and ends of dashes along a path."""
    steps = np.linalg.norm(np.diff(spots, axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    marks = np.arange(0, along[-1], dash)
    ends = np.stack([marks, np.minimum(marks + dash * 0.55, along[-1])], 1).ravel()
    return np.stack([np.interp(ends, along, spots[:, axis]) for axis in (0, 1)], 1)


def _disc(centre: Points, radius: float, window: Window) -> Floats:
    image, draw = _canvas(window)
    (x, y), r = _local(centre[None], window)[0], radius * _FINE
    draw.ellipse((x - r, y - r, x + r, y + r), fill=255)
    return _mask(image)


def _blurred(mask: Floats, radius: float) -> Floats:
    image = Image.fromarray((mask[..., 0] * 255).astype(np.uint8))
    soft = image.filter(ImageFilter.GaussianBlur(radius))
    return np.asarray(soft, np.float32)[..., None] / np.float32(255)


def _slope(soft: Floats) -> Floats:
    """Light from the upper left: edges that face it are brighter."""
    return 0.16 * (np.roll(soft, (-4, -4), (0, 1)) - np.roll(soft, (4, 4), (0, 1)))


def _sampled(cloth: Floats, window: Window, degrees: float, offset: NDArray[np.int64]) -> Floats:
    """The cloth under a window, turned by its grain."""
    rows, columns = np.ogrid[window]
    if degrees == 0:
        return np.asarray(cloth[(rows + offset[0]) % SWATCH, (columns + offset[1]) % SWATCH])
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    u = (columns * cosine + rows * sine + offset[1]).astype(np.int32) % SWATCH
    v = (rows * cosine - columns * sine + offset[0]).astype(np.int32) % SWATCH
    return np.asarray(cloth[v, u])


def _drape(rng: np.random.Generator) -> Floats:
    """Large soft waves in the cloth, mostly upright."""
    knots = Image.fromarray(rng.integers(0, 256, (4, 9), np.uint8))
    waves = np.asarray(knots.resize((CUTOUT, CUTOUT), Image.Resampling.BICUBIC), np.float32)
    return (1 + (waves[..., None] / 255 - 0.5) * 0.11).astype(np.float32)
