"""Photos into vectors, as serving reads them; whoever makes the vectors."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch

from embedder_service.images import Pixels
from embedder_service.judging.distances import normalised
from embedder_service.model import EmbeddingModel
from embedder_service.spec import ModelError, Preprocessing
from embedder_service.training.boxes import read_photo
from embedder_service.training.data import Photo

Vectors = npt.NDArray[np.float32]
OnStep = Callable[[int, int], None]
One = TypeVar("One")
Other = TypeVar("Other")

_BATCH = 64


def embed_photos(model: EmbeddingModel, photos: Sequence[Photo]) -> Vectors:
    """The model's vectors: float32 [n, dimension], each of length 1.

    Raises ModelError, and CatalogueError for a file gone bad.
    """
    pixels = read_photos(photos, model.spec.preprocessing)
    return normalised(raw_vectors(model, pixels, len(photos)))


def raw_vectors(
    model: EmbeddingModel,
    pixels: Iterable[Pixels],
    count: int,
    on_step: OnStep = lambda *_: None,
) -> Vectors:
    """Before normalisation, float32 [count, dimension]; on a GPU where there is one.

    `pixels` are `count` pictures, uint8 [3, crop, crop] each. Raises ModelError.
    """
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


def read_photos(photos: Sequence[Photo], preprocessing: Preprocessing) -> Iterator[Pixels]:
    """Each photo's pixels in turn. Raises CatalogueError for a file gone bad."""
    return ahead(lambda photo: read_photo(photo, preprocessing), photos)


def ahead(function: Callable[[One], Other], each: Iterable[One]) -> Iterator[Other]:
    """What threads have made of some before they are asked for, in order."""
    waiting: deque[Future[Other]] = deque()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            for one in each:
                waiting.append(pool.submit(function, one))
                if len(waiting) > 3 * _BATCH:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
