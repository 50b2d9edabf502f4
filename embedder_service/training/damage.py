"""Looks at every photo once: what does not decode is set apart, what is there twice is named."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from embedder_service.spec import Preprocessing
from embedder_service.training.boxes import boxed_pixels
from embedder_service.training.data import Box, Catalogue, Damaged, Photo
from lookalike_kit.errors import ServiceError

OnStep = Callable[[int, int], None]

_GLANCE = Preprocessing(resize=32, crop=32)
_AT_ONCE = 256  # photos: bounds what waits for a thread


@dataclass(frozen=True, slots=True)
class _Look:
    """What one photo is; `reason` is empty where it can be used."""

    reason: str
    content: bytes = b""  # its hash
    box: Box | None = None


def without_damaged(catalogue: Catalogue, on_step: OnStep = lambda *_: None) -> Catalogue:
    """Decodes every photo; those that do not decode move to `damaged`, with the reason.

    `on_step(done, total)` follows.
    """
    kept: list[Photo] = []
    damaged: list[Damaged] = []
    same: dict[_Look, list[str]] = {}
    for photo, look in _looks(catalogue.photos, on_step):
        if look.reason:
            damaged.append(Damaged(photo.path, look.reason))
        else:
            kept.append(photo)
            same.setdefault(look, []).append(photo.photo_id)
    return replace(
        catalogue,
        photos=tuple(kept),
        damaged=(*catalogue.damaged, *damaged),
        copies=tuple(tuple(group) for group in same.values() if len(group) > 1),
    )


def _looks(photos: Sequence[Photo], on_step: OnStep) -> Iterator[tuple[Photo, _Look]]:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(photos), _AT_ONCE):
            part = photos[start : start + _AT_ONCE]
            yield from zip(part, pool.map(_look, part), strict=True)
            on_step(start + len(part), len(photos))


def _look(photo: Photo) -> _Look:
    try:
        content = photo.path.read_bytes()
        boxed_pixels(content, photo.box, _GLANCE)
    except (ServiceError, OSError) as error:
        return _Look(str(error))
    return _Look("", hashlib.blake2b(content, digest_size=16).digest(), photo.box)
