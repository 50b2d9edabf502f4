"""A split's pixels by row: all in memory where they fit, else read again whenever they are asked.

DeepFashion's 289,222 photos at side 224 are 57 GB so.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from embedder_service import images
from embedder_service.spec import Preprocessing
from embedder_service.training.augment import load_pixels
from embedder_service.training.boxes import read_photo
from embedder_service.training.data import Photo

_PARTS_AHEAD = 3


def pixel_bytes(photos: int, side: int) -> int:
    """What they take in memory."""
    return photos * 3 * side * side


class Pixels:
    """uint8 pictures of `side` x `side` by row; reading is in the order asked, on threads."""

    def __init__(self, photos: Sequence[Photo], side: int, threads: int, in_memory: bool) -> None:
        self._photos, self._threads = photos, threads or os.cpu_count() or 1
        self._preprocessing = Preprocessing(resize=side, crop=side)
        self._held = load_pixels(photos, self._preprocessing, self._threads) if in_memory else None

    def __len__(self) -> int:
        return len(self._photos)

    def parts(self, parts: Iterable[Tensor]) -> Iterator[Tensor]:
        """The pixels of each part's rows in turn, uint8 [rows, 3, side, side].

        Raises CatalogueError where a file no longer decodes.
        """
        if self._held is not None:
            held = self._held
            return (held[rows] for rows in parts)
        return self._read_ahead(iter(parts))

    def _read_ahead(self, parts: Iterator[Tensor]) -> Iterator[Tensor]:
        """Some parts are read while the device is busy with one."""
        waiting: deque[list[Future[images.Pixels]]] = deque()
        with ThreadPoolExecutor(self._threads) as pool:
            try:
                for rows in parts:
                    waiting.append([pool.submit(self._read, row) for row in rows.tolist()])
                    if len(waiting) > _PARTS_AHEAD:
                        yield _stacked(waiting.popleft())
                while waiting:
                    yield _stacked(waiting.popleft())
            finally:
                pool.shutdown(cancel_futures=True)

    def _read(self, row: int) -> images.Pixels:
        return read_photo(self._photos[row], self._preprocessing)


def _stacked(read: list[Future[images.Pixels]]) -> Tensor:
    return torch.from_numpy(np.stack([each.result() for each in read]))
