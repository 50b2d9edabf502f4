"""What a target means in one generation: the vectors to be near to, and what is left out."""

from dataclasses import dataclass

import numpy as np

from search_service.engines import Rows, Vectors
from search_service.errors import UnknownItem, UnusableVector
from search_service.manifest import Manifest
from search_service.query import ByExamples, ByItem, ByVector, Target, read_vector
from search_service.segments import Segments

# An item may have more photos than this; a search by it takes this many, evenly spaced.
MAX_PHOTOS_SEARCHED = 64
# What negative examples weigh against the positive ones.
NEGATIVE_WEIGHT = 0.5


@dataclass(frozen=True)
class Probe:
    """The vectors of one query [m, d], and the items [n], ascending, left out of its answer."""

    vectors: Vectors
    left_out: Rows


class Prober:
    """Reads targets for one generation; `excluded` items [n], ascending, are left out of all."""

    def __init__(self, segments: Segments, manifest: Manifest, excluded: Rows) -> None:
        self._segments = segments
        self._manifest = manifest
        self._excluded = excluded

    def probe(self, target: Target) -> Probe:
        match target:
            case ByVector():
                vector = read_vector(target, self._manifest.dimension)
                return Probe(vector[None], self._excluded)
            case ByItem():
                item = self._item(target)
                return Probe(self._vectors_of(item), np.union1d(self._excluded, [item]))
            case ByExamples():
                examples = (*target.positive, *target.negative)
                named = [self._item(each) for each in examples if isinstance(each, ByItem)]
                left_out = np.union1d(self._excluded, np.array(named, np.int64))
                return Probe(self._between(target)[None], left_out)

    def _between(self, target: ByExamples) -> Vectors:
        """Like the positive examples and unlike the negative ones: a vector [d] of length 1."""
        mean = np.mean([self._example(each) for each in target.positive], axis=0)
        if target.negative:
            unlike = np.mean([self._example(each) for each in target.negative], axis=0)
            mean = mean - NEGATIVE_WEIGHT * unlike
        return _direction(mean, target.field)

    def _example(self, example: ByVector | ByItem) -> Vectors:
        if isinstance(example, ByVector):
            return read_vector(example, self._manifest.dimension)
        vectors = self._vectors_of(self._item(example))
        return _direction(vectors.mean(axis=0, dtype=np.float64), example.field)

    def _vectors_of(self, item: int) -> Vectors:
        rows = np.asarray(self._segments.rows_of(item))
        if len(rows) > MAX_PHOTOS_SEARCHED:
            rows = rows[np.linspace(0, len(rows) - 1, MAX_PHOTOS_SEARCHED).astype(int)]
        return np.asarray(self._segments.vectors[rows])

    def _item(self, target: ByItem) -> int:
        item = self._segments.find_item(target.item_id)
        if item is None:
            raise UnknownItem(
                f"{target.field}: expected an item of {self._manifest.index}, "
                f"got {target.item_id[:128]!r}",
                index=self._manifest.index,
                item_id=target.item_id[:128],
            )
        return item


def _direction(mean: Vectors, field: str) -> Vectors:
    """At length 1."""
    length = float(np.linalg.norm(mean))
    # Sums of float32 vectors of length 1 that cancel out leave rounding, which points anywhere.
    if length < 1e-6:
        raise UnusableVector(
            f"{field}: expected vectors that do not cancel each other out, got ones that do",
            field=field,
        )
    return (mean / length).astype(np.float32)
