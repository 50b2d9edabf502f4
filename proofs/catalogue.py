"""Small catalogues and what is built of them: every kind of file that a generation may have."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from search_service.build import BuildOptions, Changed, Published, Source, add, build, remove
from search_service.store import Store

SPACE = "a" * 64
DIMENSION = 16
QUICK = BuildOptions(engine="annoy", widths=(0,), trees=4, golden_queries=30, threads=1)
# By the engine's name, and by what the forest is planted over.
OPTIONS = {
    "forest": QUICK,
    "projected": replace(QUICK, widths=(8,)),
    "exact": replace(QUICK, engine="exact"),
    "graph": replace(QUICK, engine="graph", graph_widths=(0,)),
}


def draw(items: int, *, seed: int = 0, prefix: str = "") -> Source:
    """Items of two photos each, around a few centres, with an attribute of each width."""
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(8, DIMENSION))
    of_items = centres[generator.integers(0, 8, items)]
    of_items = of_items + generator.normal(size=(items, DIMENSION))
    vectors = np.repeat(of_items, 2, axis=0) + 0.2 * generator.normal(size=(2 * items, DIMENSION))
    photos = pa.table(
        {
            "photo_id": [f"{prefix}{i:04d}/{photo}" for i in range(items) for photo in (0, 1)],
            "item_id": [f"{prefix}{i:04d}" for i in range(items) for _ in (0, 1)],
            "kind": [None if i % 7 == 6 else f"kind {i % 3}" for i in range(items) for _ in (0, 1)],
            "price": pa.array([i % 5 for i in range(items) for _ in (0, 1)], pa.int64()),
            "tags": [[f"t{i % 3}", "all"] for i in range(items) for _ in (0, 1)],
        }
    )
    return Source(vectors.astype(np.float32), photos, SPACE)


def build_of(kind: str, out: Path, *, items: int = 60, seed: int = 0, prefix: str = "") -> Path:
    """A build of the kind, in a new folder."""
    build(draw(items, seed=seed, prefix=prefix), out, OPTIONS[kind])
    return out


def change(
    store: Store, index: str, *, items: Sequence[str] = (), added: int = 0, seed: int = 0
) -> Published:
    """Puts other photos in the place of some items, and adds some."""
    source = draw(len(items) + added, seed=seed)
    ids = [*items, *(f"new-{seed}-{i:04d}" for i in range(added))]
    columns = {
        "item_id": pa.array(np.repeat(ids, 2)),
        "photo_id": pa.array([f"{each}/{photo}" for each in ids for photo in (0, 1)]),
    }
    photos = source.photos
    for name, column in columns.items():
        photos = photos.set_column(photos.column_names.index(name), name, column)
    return published(add(store, index, replace(source, photos=photos)))


def take_out(store: Store, index: str, items: Sequence[str]) -> Published:
    """Removes items."""
    (changed,) = remove(store, index, items)
    return published(changed)


def published(changed: Changed) -> Published:
    """The generation that a change left."""
    if changed.published is None:
        raise ValueError("expected a change, got none")
    return changed.published
