"""Damages one blob at a time and takes the generation in as a replica does; prints what became.

`python mutations.py BUILD STORE SEED COUNT` runs in a process of its own, for a library that dies
of a file would take the tests with it. After `mapping` nothing may die or raise any more.
"""

import random
import sys
from collections import Counter
from pathlib import Path

import numpy as np
from lookalike.search.v1 import search_pb2

from proofs.mutants import mutant
from search_service.build import publish
from search_service.check import ask_golden, check
from search_service.generation import Generation
from search_service.manifest import FormatError, Manifest
from search_service.query import ByItem, ByVector, Options
from search_service.servicer import _add_hits
from search_service.store import Store


def main(built: str, store: str, seed: int, count: int) -> None:
    published = publish(Store(Path(store)), "dresses", Path(built))
    manifest, folder = published.manifest, Path(store) / "blobs"
    blobs = manifest.base.blobs
    width = manifest.base.width or manifest.dimension
    generator = random.Random(seed)
    became: Counter[str] = Counter()
    for i in range(count):
        role = sorted(blobs)[i % len(blobs)]
        path = folder / blobs[role].sha256
        whole = path.read_bytes()
        path.unlink()  # a mapped file is never written under
        other = (folder / blobs[sorted(blobs)[i % len(blobs) - 1]].sha256).read_bytes()
        _, became_of_it = mutant(role, width, whole, other, generator)
        path.write_bytes(became_of_it)
        print(i, role, "looking", flush=True)
        became[take_in(manifest, published.sha256, folder)] += 1
        path.unlink()
        path.write_bytes(whole)
    print(dict(became))


def take_in(manifest: Manifest, sha256: str, folder: Path) -> str:
    try:
        check(manifest, folder)
    except Exception:  # noqa: BLE001
        return "refused"  # in a replica the child has ended
    print("mapping", flush=True)
    try:
        ask_golden(manifest, folder)
    except FormatError:
        return "failed golden queries"
    ask(Generation.open(manifest, sha256, folder))
    return "served"


def ask(generation: Generation) -> None:
    vector = np.ones(generation.manifest.dimension, "<f4").tobytes()
    targets = (
        ByVector(vector, generation.manifest.space_id, "query"),
        ByItem(*generation.segments.item_ids([3]), "query.item_id"),
    )
    items = generation.segments.item_numbers
    for k, recall in ((3, 0.9), (1000, 0.99), (1000, 1.0)):
        options = Options(
            k=k, photos_per_item=2, filters=(), recall=recall, include_attributes=True
        )
        vectors, others = generation.nearest(targets, options).answers
        assert len(vectors.hits) == min(k, items)
        assert len(others.hits) == min(k, items - 1)
        response = search_pb2.SearchResponse()
        _add_hits(response, [*vectors.hits, *others.hits])
        response.SerializeToString()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
