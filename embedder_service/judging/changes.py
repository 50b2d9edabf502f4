"""What somebody may do to a photo before using it elsewhere: crop, mirror, recompress, recolour."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Mapping

from PIL import Image, ImageOps

from embedder_service.training.data import Photo

Change = Callable[[Image.Image, random.Random], Image.Image]

_SIDE = 1024  # larger photos are made smaller first
_QUALITY = 92


def cropped(image: Image.Image, generator: random.Random) -> Image.Image:
    """Three quarters of each side, from anywhere."""
    width, height = (max(1, side * 3 // 4) for side in image.size)
    left = generator.randint(0, image.width - width)
    top = generator.randint(0, image.height - height)
    return image.crop((left, top, left + width, top + height))


def mirrored(image: Image.Image, _: random.Random) -> Image.Image:
    return ImageOps.mirror(image)


def recompressed(image: Image.Image, _: random.Random) -> Image.Image:
    """Half the size, and JPEG at quality 25."""
    small = image.resize((max(1, image.width // 2), max(1, image.height // 2)))
    file = io.BytesIO()
    small.save(file, "JPEG", quality=25)
    with Image.open(file) as read:
        return read.convert("RGB")


def recoloured(image: Image.Image, _: random.Random) -> Image.Image:
    """Hues turned by 25 degrees, paler by a quarter, and lighter."""
    hue, saturation, value = image.convert("HSV").split()
    turned = hue.point(lambda level: (level + 18) % 256)
    paler = saturation.point(lambda level: level * 3 // 4)
    lighter = value.point(lambda level: round(255 * (level / 255) ** 0.8))
    return Image.merge("HSV", (turned, paler, lighter)).convert("RGB")


def all_four(image: Image.Image, generator: random.Random) -> Image.Image:
    return recoloured(
        recompressed(mirrored(cropped(image, generator), generator), generator), generator
    )


CHANGES: Mapping[str, Change] = {
    "cropped": cropped,
    "mirrored": mirrored,
    "recompressed": recompressed,
    "recoloured": recoloured,
    "all four": all_four,
}


def changed(photo: Photo, change: str) -> bytes:
    """A JPEG file of the changed photo; the same each time."""
    generator = random.Random(photo.photo_id)
    file = io.BytesIO()
    CHANGES[change](_picture(photo), generator).save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()


def _picture(photo: Photo) -> Image.Image:
    """The upright picture, or its box, on white, as RGB."""
    with Image.open(photo.path) as image:
        upright = ImageOps.exif_transpose(image).convert("RGBA")
    if photo.box:
        left, top, right, bottom = photo.box
        box = max(0, left), max(0, top), min(upright.width, right), min(upright.height, bottom)
        upright = upright.crop(tuple(round(edge) for edge in box))  # type: ignore[arg-type]
    upright.thumbnail((_SIDE, _SIDE))
    white = Image.new("RGBA", upright.size, "white")
    white.alpha_composite(upright)
    return white.convert("RGB")
