"""A few batch sizes for batches of any size.

On a GPU they double, each with a graph of its own. A batch is as slow as the next bucket, and
filling it up costs nothing, or two exact buckets beat one that is half empty: the measured times
decide (`Cuts`). On a CPU every image costs its time: buckets are close (`fine_bucket`).
"""

from __future__ import annotations

from collections.abc import Mapping


def bucket_sizes(most: int) -> tuple[int, ...]:
    """1, 2, 4, 8, ... and `most` itself; all are fine buckets too."""
    return (*(1 << power for power in range((most - 1).bit_length())), most)


def fine_bucket(images: int, most: int) -> int:
    """The first of 1, 2, 3, ... 16, 18, 20, ... 32, 36, ... and `most` with room for them."""
    step = 1 << max(0, (images - 1).bit_length() - 4)
    return min(most, -(-images // step) * step)


class Cuts:
    """For any number of images, the buckets that take the least time together.

    `seconds` are those of a full bucket, by its size.
    """

    def __init__(self, seconds: Mapping[int, float]) -> None:
        self._seconds = seconds
        self._largest = max(seconds)
        self._first = {0: 0}
        self._total = {0: 0.0}
        for images in range(1, self._largest + 1):
            bucket = min(seconds, key=lambda size: (self._total_with(size, images), -size))
            self._total[images] = self._total_with(bucket, images)
            self._first[images] = bucket

    def of(self, images: int) -> list[int]:
        """The buckets in their order; only the last may have room left."""
        cuts = []
        while images > 0:
            bucket = self._first[min(images, self._largest)]
            cuts.append(bucket)
            images -= bucket
        return sorted(cuts, reverse=True)

    def _total_with(self, bucket: int, images: int) -> float:
        return self._seconds[bucket] + self._total[max(0, images - bucket)]
