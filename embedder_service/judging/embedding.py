"""Photos through a model, as serving reads them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

import numpy as np
import numpy.typing as npt
import torch

from embedder_service import images
from embedder_service.judging.distances import normalised
from embedder_service.model import EmbeddingModel
from embedder_service.spec import ModelError
from embedder_service.training.boxes import read_photo
from embedder_service.training.data import CatalogueError, Photo
from lookalike_kit.errors import ServiceError

Vectors = npt.NDArray[np.float32]
OnStep = Callable[[int, int], None]

_BATCH = 64


def embed_photos(
    model: EmbeddingModel, photos: Sequence[Photo], on_step: OnStep = lambda *_: None
) -> Vectors:
    """The model's vectors: float32 [n, dimension], each of length 1. Raises as raw_vectors."""
    return normalised(raw_vectors(model, photos, on_step))


def raw_vectors(
    model: EmbeddingModel, photos: Sequence[Photo], on_step: OnStep = lambda *_: None
) -> Vectors:
    """The same before normalisation. Raises ModelError, and CatalogueError for a file gone bad.

    On a GPU where there is one. Some photos are read while others are embedded; memory holds a few
    batches of them.
    """

    def read(photo: Photo) -> images.Pixels:
        try:
            return read_photo(photo, model.spec.preprocessing)
        except (ServiceError, OSError) as error:
            raise CatalogueError(
                f"{photo.path}: expected the image that was there, got {error}"
            ) from error

    return raw_of_pixels(model, _read_ahead(photos, read), len(photos), on_step)


def raw_of_pixels(
    model: EmbeddingModel,
    pixels: Iterable[images.Pixels],
    count: int,
    on_step: OnStep = lambda *_: None,
) -> Vectors:
    """Raw vectors of `count` pictures, uint8 [3, crop, crop] each."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device).eval()
    vectors = np.empty((count, model.spec.dimension), np.float32)
    each = iter(pixels)
    with torch.inference_mode():
        for start in range(0, count, _BATCH):
            batch = torch.from_numpy(np.stack(list(islice(each, _BATCH)))).to(device)
            vectors[start : start + len(batch)] = model.raw(batch).float().cpu().numpy()
            on_step(start + len(batch), count)
    model.cpu()
    if not np.isfinite(vectors).all():
        raise ModelError("model: expected vectors of finite numbers, got others")
    return vectors


def _read_ahead(
    photos: Sequence[Photo], read: Callable[[Photo], images.Pixels]
) -> Iterator[images.Pixels]:
    waiting: list[Future[images.Pixels]] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            for photo in photos:
                waiting.append(pool.submit(read, photo))
                if len(waiting) > 3 * _BATCH:
                    yield waiting.pop(0).result()
            yield from (each.result() for each in waiting)
        finally:
            pool.shutdown(cancel_futures=True)
