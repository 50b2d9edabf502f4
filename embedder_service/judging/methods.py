"""The ways to look for neighbours, side by side on the same vectors and queries."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter

import numpy as np
import numpy.typing as npt
from annoy import AnnoyIndex

Vectors = npt.NDArray[np.float32]
NEIGHBOURS = 10


@dataclass(frozen=True)
class Method:
    """One way: its time a query at the median, and its recall@10 against exact."""

    name: str
    milliseconds: float
    recall: float
    queries: int
    build_seconds: float | None = None


def one_by_one(vectors: Vectors, query: Vectors) -> list[int]:
    """The articles' naive way: the cosine to each vector in turn."""
    length = np.linalg.norm(query)
    similarities = [
        float(np.dot(query, each) / (length * np.linalg.norm(each))) for each in vectors
    ]
    return [int(row) for row in np.argsort(similarities)[::-1][:NEIGHBOURS]]


def scan(vectors: Vectors, query: Vectors) -> list[int]:
    """The same in one product."""
    similarities = vectors @ query
    count = min(NEIGHBOURS, len(vectors))
    best = np.argpartition(similarities, -count)[-count:]
    return [int(row) for row in best[np.argsort(similarities[best])[::-1]]]


def article_annoy(vectors: Vectors, trees: int) -> Callable[[Vectors], list[int]]:
    """annoy as the article had it: Euclidean, all dimensions, a tree a class, default effort."""
    index = AnnoyIndex(vectors.shape[1], "euclidean")
    for row, vector in enumerate(vectors):
        index.add_item(row, vector.tolist())
    index.build(trees)
    return lambda query: list(index.get_nns_by_vector(query.tolist(), NEIGHBOURS))


def measured(
    name: str,
    find: Callable[[Vectors], list[int]],
    queries: Vectors,
    truth: list[set[int]],
    build_seconds: float | None = None,
) -> Method:
    """Asks each query once, one at a time."""
    times, recalls = [], []
    for query, nearest in zip(queries, truth, strict=False):
        begun = perf_counter()
        found = find(query)
        times.append(perf_counter() - begun)
        recalls.append(len(nearest & set(found)) / len(nearest))
    return Method(
        name, median(times) * 1000, sum(recalls) / len(recalls), len(times), build_seconds
    )
