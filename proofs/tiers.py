"""Both tiers as processes: an embedder whose device is a clock, a search service, a small index."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from lookalike_cli import processes
from lookalike_cli.processes import Running

from embedder_service.config import PREFIX as EMBEDDER_PREFIX
from proofs.catalogue import OPTIONS
from search_service.build import Published, Source, build, publish
from search_service.config import PREFIX as SEARCH_PREFIX
from search_service.store import Store

INDEX = "dresses"
ITEMS = 300
# What benchmarks.embedder_stand_in says of itself.
SPACE, DIMENSION = "5" * 64, 512
MODEL_MILLISECONDS = 2.0  # an image


def write_index(store: Store, folder: Path, *, seed: int = 0, items: int = ITEMS) -> Published:
    """A generation of one photo an item, published; `folder` is where it is built."""
    colours = np.random.default_rng(seed).uniform(0.1, 1, (items, 3)).astype(np.float32)
    vectors = np.zeros((items, DIMENSION), np.float32)
    vectors[:, :3] = colours
    ids = pa.array([f"{seed}-{item:04d}" for item in range(items)])
    source = Source(vectors, pa.table({"photo_id": ids, "item_id": ids}), SPACE)
    build(source, folder, OPTIONS["forest"])
    return publish(store, INDEX, folder)


def embedder(log: Path, under: Sequence[str] = (), **settings: object) -> Running:
    """settings: LOOKALIKE_EMBEDDER_* in lower case; `model` is the milliseconds of an image."""
    given = {"model": MODEL_MILLISECONDS, **settings}
    module = "benchmarks.embedder_stand_in"
    return processes.start(module, EMBEDDER_PREFIX, given, log, under=under)


def search(
    store: Store, cache: Path, log: Path, under: Sequence[str] = (), **settings: object
) -> Running:
    """settings: LOOKALIKE_SEARCH_* in lower case; ready once it serves the index."""
    # Many small matrices in many processes: a thread for each core in each only gets in the way.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    paths = {"store": store.root, "cache": cache}
    given = {**paths, "poll_seconds": 0.1, "required": INDEX, **settings}
    return processes.start("search_service", SEARCH_PREFIX, given, log, under=under)
