"""A data set as a catalogue: each vector a photo and an item of its own, with an attribute."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from search_service.build import BuildOptions, Source, build, publish
from search_service.engines import Vectors
from search_service.generation import Generation
from search_service.query import ByVector, Options
from search_service.store import Store

SPACE = "a" * 64
INDEX = "bench"


def source(vectors: Vectors, prefix: str = "item") -> Source:
    """Ids in the order of the rows; `draw` is a number from 0 to 9,999 drawn for each."""
    ids = pa.array([f"{prefix}-{row:07d}" for row in range(len(vectors))])
    drawn = np.random.default_rng(1).integers(0, 10_000, len(vectors))
    photos = pa.table({"photo_id": ids, "item_id": ids, "draw": pa.array(drawn)})
    return Source(vectors, photos, SPACE)


def published(vectors: Vectors, folder: Path, options: BuildOptions) -> Generation:
    """Built, published to a store in the folder, and mapped from there."""
    build(source(vectors), folder / "built", options)
    done = publish(Store(folder), INDEX, folder / "built")
    return Generation.open(done.manifest, done.sha256, folder / "blobs")


def target(vector: Vectors) -> ByVector:
    return ByVector(vector.astype("<f4").tobytes(), SPACE, "query")


def options(recall: float, k: int = 10, **others: object) -> Options:
    plain = {"photos_per_item": 1, "filters": (), "include_attributes": False}
    return Options(k=k, recall=recall, **{**plain, **others})  # type: ignore[arg-type]


def ids(generation: Generation, vector: Vectors, asked: Options) -> set[str]:
    (answer,) = generation.nearest([target(vector)], asked).answers
    return {hit.item_id for hit in answer.hits}
