"""Vectors at the first article's size, drawn from the spread of the demo's own embeddings.

They are not photographs: each new item lies between two real ones of a category, moved by what
parts items of a category, and its photos are moved from it by what parts photos of an item.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
ARTICLE_ROWS = 249_222
PHOTOS_PER_ITEM = 8
_BLOCK = 4_096  # items


@dataclass(frozen=True)
class Spread:
    """What the real embeddings [n, d] teach: item means, and the ways photos and items differ."""

    means: Vectors  # [items, d]
    categories: npt.NDArray[np.int64]  # [items]
    within: Vectors  # [., d]: photo less item, of items that have several
    between: Vectors  # [., d]: item less category, of categories that have several

    @classmethod
    def of(cls, embeddings: Vectors, items: list[str], categories: list[str]) -> "Spread":
        _, first, item_of = np.unique(items, return_index=True, return_inverse=True)
        means = _means(embeddings, item_of)
        category_of_item = np.unique(np.array(categories)[first], return_inverse=True)[1]
        if np.bincount(category_of_item).max() == 1:  # nothing to learn from: all are of one kind
            category_of_item = np.zeros(len(means), np.int64)
        return cls(
            means=means,
            categories=category_of_item,
            within=_differences(embeddings, item_of),
            between=_differences(means, category_of_item),
        )

    @property
    def photos_per_item(self) -> int:
        """1 where no item has two photos that would show how they differ."""
        return PHOTOS_PER_ITEM if len(self.within) else 1

    def draw(self, count: int, seed: int) -> Vectors:
        """`count` vectors [count, d] of length 1, item by item."""
        generator = np.random.default_rng(seed)
        drawn = np.empty((count, self.means.shape[1]), np.float32)
        step = _BLOCK * PHOTOS_PER_ITEM
        for start in range(0, count, step):
            block = self._block(generator)[: count - start]
            drawn[start : start + step] = block
        return drawn

    def _block(self, generator: np.random.Generator) -> Vectors:
        count = _BLOCK * PHOTOS_PER_ITEM // self.photos_per_item
        left = generator.integers(0, len(self.means), count)
        right = self._of_the_same_category(left, generator)
        share = generator.random((count, 1), np.float32)
        moved = _mixed(self.between, count, generator)
        items = share * self.means[left] + (1 - share) * self.means[right] + 0.7 * moved
        photos = np.repeat(items, self.photos_per_item, axis=0)
        photos += _mixed(self.within, len(photos), generator)
        lengths = np.linalg.norm(photos, axis=1, keepdims=True)
        unit: Vectors = (photos / lengths).astype(np.float32)
        return unit

    def _of_the_same_category(
        self, items: npt.NDArray[np.int64], generator: np.random.Generator
    ) -> npt.NDArray[np.int64]:
        order = np.argsort(self.categories, kind="stable")
        starts = np.searchsorted(self.categories[order], self.categories[items])
        counts = np.bincount(self.categories)[self.categories[items]]
        chosen: npt.NDArray[np.int64] = order[starts + generator.integers(0, counts)]
        return chosen


def _means(vectors: Vectors, groups: npt.NDArray[np.int64]) -> Vectors:
    sums = np.zeros((groups.max() + 1, vectors.shape[1]), np.float32)
    np.add.at(sums, groups, vectors)
    means: Vectors = (sums / np.bincount(groups)[:, None]).astype(np.float32)
    return means


def _differences(vectors: Vectors, groups: npt.NDArray[np.int64]) -> Vectors:
    """Each vector less the mean of its group; one alone in its group teaches nothing."""
    several = np.bincount(groups)[groups] > 1
    differences: Vectors = (vectors - _means(vectors, groups)[groups])[several]
    return differences


def _mixed(differences: Vectors, count: int, generator: np.random.Generator) -> Vectors:
    """Sums of two of the differences, either way: as large as one, in more directions.

    By a random share each, or a few differences would give the same sum again and again.
    """
    if not len(differences):
        return np.zeros((count, differences.shape[1]), np.float32)
    chosen = generator.integers(0, len(differences), (2, count))
    shares = generator.uniform(0.8, 1.2, (2, count, 1)) * generator.choice([-1, 1], (2, count, 1))
    first, second = (np.sqrt(0.5) * shares).astype(np.float32)
    mixed: Vectors = first * differences[chosen[0]] + second * differences[chosen[1]]
    return mixed
