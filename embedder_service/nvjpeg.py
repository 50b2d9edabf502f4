"""JPEGs decoded and resized by a GPU, in a decoder's process: nvJPEG, as torchvision calls it.

What is not an everyday JPEG, what a long picture is cropped from, and whatever fails here are read
by the processor, which decides alone what is broken.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence

import numpy as np
import simplejpeg
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from embedder_service import images, jpeg
from embedder_service.decoder import LARGE_PIXELS, Decoded, Here, Job
from embedder_service.images import Pixels
from embedder_service.spec import Preprocessing
from embedder_service.squares import is_long, resized_and_firsts
from embedder_service.trouble import is_lost

_MOST_LEVELS = 2.0  # of 255, on average, between the first picture and the processor's

DecodeJpegs = Callable[[list[Tensor]], list[Tensor]]


class NvJpeg:
    """For one thread. Raises whatever keeps it from reading a first picture rightly."""

    def __init__(
        self, preprocessing: Preprocessing, decode_jpegs: DecodeJpegs | None = None
    ) -> None:
        self._preprocessing = preprocessing
        self._here = Here(preprocessing)
        self._decode_jpegs = decode_jpegs or on_cuda()
        self._expect_to_see()

    def decode(self, jobs: Sequence[Job]) -> list[Decoded]:
        began, cpu = time.perf_counter(), time.thread_time()
        everyday = [place for place, job in enumerate(jobs) if _is_everyday(job)]
        pictures = self._pictures([jobs[place] for place in everyday])
        squares = {
            place: found
            for place, picture in zip(everyday, pictures, strict=True)
            if (found := self._squares(jobs[place], picture)) is not None
        }
        each = max(1, len(squares))
        seconds = (time.perf_counter() - began) / each
        cpu_seconds = (time.thread_time() - cpu) / each
        return [
            Decoded(squares[place], seconds, cpu_seconds)
            if place in squares
            else self._here.decode([job])[0]
            for place, job in enumerate(jobs)
        ]

    def _expect_to_see(self) -> None:
        """What fails later is read by the processor, and nobody would know that all of it does."""
        shades = np.linspace(0, 255, 256, dtype=np.uint8)
        picture = np.stack(np.broadcast_arrays(shades, shades[:, None], 255 - shades), axis=2)
        content = simplejpeg.encode_jpeg(np.ascontiguousarray(picture), quality=95)
        job = Job(images.Photo(content), images.check(content, images.Limits()))
        (ours,) = self._squares_of(job, self._decode_jpegs([_tensor(content)])[0])
        (theirs,) = images.read(content, self._preprocessing)
        if (difference := np.abs(ours.astype(int) - theirs).mean()) > _MOST_LEVELS:
            raise ValueError(f"nvJPEG: expected the processor's picture, got one {difference} off")

    def _pictures(self, jobs: Sequence[Job]) -> Sequence[Tensor | None]:
        """uint8 [3, height, width] each; it answers for all or for none."""
        try:
            return self._decode_jpegs([_tensor(job.photo.content) for job in jobs]) if jobs else ()
        except Exception as error:  # noqa: BLE001 - the processor decides what is broken
            _expect_context(error)
            return [None] * len(jobs)

    def _squares(self, job: Job, picture: Tensor | None) -> list[Pixels] | None:
        if picture is None:
            return None
        try:
            return self._squares_of(job, picture)
        except Exception as error:  # noqa: BLE001 - as above
            _expect_context(error)
            return None

    def _squares_of(self, job: Job, picture: Tensor) -> list[Pixels]:
        if picture.shape != (3, job.header.height, job.header.width):
            raise ValueError(f"a picture of {tuple(picture.shape)} in a file of {job.header}")
        orientation = images.orientation(job.photo.content, job.header)
        regions = job.photo.regions or (images.WHOLE,)
        upright = _turned(picture, orientation)
        pieces = [upright[:, *region.of(*upright.shape[1:])] for region in regions]
        if any(is_long(piece.shape[1:]) for piece in pieces):
            raise ValueError("a long piece, which is cropped before it is resized")
        return [self._square(piece) for piece in pieces]

    def _square(self, planes: Tensor) -> Pixels:
        """On the device resizing is for floats only. The copy at its end waits for all before it.

        Torchvision decodes into memory that was given back, without a wait for what was queued to
        read it (pytorch/vision#9606): nothing is queued when the next picture comes.
        """
        crop = self._preprocessing.crop
        resized, (top, left) = resized_and_firsts(planes.shape[1:], self._preprocessing)
        small = interpolate(planes[None].float(), resized, mode="bilinear", antialias=True)
        kept = small[0, :, top : top + crop, left : left + crop]
        return np.ascontiguousarray(kept.round().clamp(0, 255).to(torch.uint8).cpu().numpy())


def _expect_context(error: Exception) -> None:
    """Raises where nothing can be decoded any more: another process begins anew.

    The words of torchvision's errors do not say so; the next call does. And nothing is queued then.
    """
    if is_lost(error):
        raise error
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.synchronize()


def _is_everyday(job: Job) -> bool:
    content, header = job.photo.content, job.header
    if header.format != "JPEG" or header.scans != 1 or header.pixels > LARGE_PIXELS:
        return False  # the processor decodes large ones small; here a pixel takes 15 bytes
    # Of a file that breaks off nvJPEG may make a picture.
    if not content.endswith(b"\xff\xd9") or not all(each.is_inside for each in job.photo.regions):
        return False
    return jpeg.colours(content) in ("Gray", "YCbCr")


def _turned(planes: Tensor, orientation: int) -> Tensor:
    if orientation in images.ON_ITS_SIDE:
        planes = planes.transpose(1, 2)
    steps = images.FLIPPED.get(orientation, (1, 1))
    backwards = [side for side, step in zip((1, 2), steps, strict=True) if step < 0]
    return planes.flip(backwards) if backwards else planes  # a copy, even of nothing


def _tensor(content: bytes) -> Tensor:
    return torch.frombuffer(bytearray(content), dtype=torch.uint8)


def on_cuda() -> DecodeJpegs:
    """Torchvision's, which decodes all that it is given, or raises."""
    from torchvision.io import ImageReadMode, decode_jpeg

    # From 0.29 on it points to another library, which this process does not have.
    warnings.filterwarnings("ignore", module=r"torchvision\.io")

    def decode_jpegs(files: list[Tensor]) -> list[Tensor]:
        decoded: list[Tensor] = decode_jpeg(files, ImageReadMode.RGB, device="cuda")
        return decoded

    return decode_jpegs
