"""Whether a photo is found again after somebody has changed it: cropped, mirrored, and so on."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from embedder_service import images
from embedder_service.images import Pixels
from embedder_service.judging.contestants import Contestant
from embedder_service.judging.distances import normalised
from embedder_service.judging.embedding import ahead
from embedder_service.judging.ranking import Labels, find
from embedder_service.spec import Preprocessing
from embedder_service.training.data import Photo

Numbers = npt.NDArray[np.int64]
Shares = npt.NDArray[np.float64]
Change = Callable[[Image.Image, random.Random], Image.Image]

_SIDE = 1024  # larger photos are made smaller first
_QUALITY = 92


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Where the similarities to the original lie: shares of copies are below."""

    low: float  # 5 %
    middle: float  # 50 %
    high: float  # 95 %
    matched: float | None  # the share that reaches the threshold of few false matches


@dataclass(frozen=True, kw_only=True)
class Copies:
    """What one contestant makes of the copies, by the name of the change."""

    name: str
    is_judged: bool
    recall_at_1: Mapping[str, float]
    spread: Mapping[str, Spread]
    similarities: Mapping[str, Shares]


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


def judge_copies(
    contestant: Contestant,
    photos: Sequence[Photo],
    rows: Numbers,
    same: Numbers,
    threshold: float | None,
) -> Copies:
    """Copies of the photos at `rows` are looked for among all photos.

    `same` numbers photos so that files of the same bytes share a number: any of them will do.
    """
    similarities, recall = {}, {}
    originals = [photos[row] for row in rows]
    for change in CHANGES:
        pixels = _pixels(originals, change, contestant.maker.preprocessing)
        copies = normalised(contestant.maker.embed(pixels, len(originals), lambda *_: None))
        (found,), _ = find(copies, contestant.vectors, [Labels(same[rows], same)])
        recall[change] = float(np.mean(found.first == 1))
        to_own = np.einsum("ij,ij->i", copies, contestant.vectors[rows])
        similarities[change] = np.clip(to_own, 0, 1).astype(np.float64)
    spread = {name: _spread(values, threshold) for name, values in similarities.items()}
    return Copies(
        name=contestant.name,
        is_judged=contestant.is_judged,
        recall_at_1=recall,
        spread=spread,
        similarities=similarities,
    )


def _pixels(photos: Sequence[Photo], change: str, preprocessing: Preprocessing) -> Iterator[Pixels]:
    def read(photo: Photo) -> Pixels:
        (pixels,) = images.read(changed(photo, change), preprocessing)
        return pixels

    return ahead(read, photos)


def _spread(similarities: Shares, threshold: float | None) -> Spread:
    low, middle, high = np.percentile(similarities, [5, 50, 95])
    matched = None if threshold is None else float(np.mean(similarities >= threshold))
    return Spread(low=float(low), middle=float(middle), high=float(high), matched=matched)


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
