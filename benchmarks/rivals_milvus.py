"""Milvus's side of benchmarks.rivals: the standalone server as a process, asked by pymilvus.

It runs in build/bench-venv, where it and its client are installed.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

import numpy as np
from milvus import MilvusServer
from pymilvus import Collection, CollectionSchema, DataType, FieldSchema, connections, utility

from benchmarks.rivals_client import NEIGHBOURS, Ask, Vectors, main

NAME = "photos"
HNSW = {"index_type": "HNSW", "metric_type": "IP", "params": {"M": 16, "efConstruction": 200}}
ROWS_A_CALL = 10_000  # 20 MB; a call may hold 64


class Milvus:
    """One collection with one index, loaded whole."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "milvus"

    def build(self, vectors: Vectors) -> Mapping[str, float]:
        fields = [
            FieldSchema("id", DataType.INT64, is_primary=True),
            FieldSchema("vector", DataType.FLOAT_VECTOR, dim=vectors.shape[1]),
        ]
        with self.serving():
            collection = Collection(NAME, CollectionSchema(fields))
            begun = perf_counter()
            for start in range(0, len(vectors), ROWS_A_CALL):
                rows = vectors[start : start + ROWS_A_CALL]
                collection.insert([np.arange(start, start + len(rows)), rows])
            inserted = perf_counter()
            collection.flush()
            flushed = perf_counter()
            collection.create_index("vector", HNSW)
            utility.wait_for_index_building_complete(NAME)
            indexed = perf_counter()
            collection.load()
            loaded = perf_counter()
        return {
            "insert": inserted - begun,
            "flush": flushed - inserted,
            "index": indexed - flushed,
            "load": loaded - indexed,
        }

    @contextmanager
    def serving(self) -> Iterator[tuple[int, ...]]:
        server = MilvusServer()
        server.set_base_dir(str(self._folder))
        server.start()
        try:
            connections.connect(host="127.0.0.1", port=str(server.listen_port))
            if utility.has_collection(NAME):
                self._collection = Collection(NAME)
                self._collection.load()
            yield (server.server_proc.pid,)
        finally:
            connections.disconnect("default")
            # Terminated, and killed after a second: 2.3.5 does not end by itself within a minute.
            server.stop()

    def asker(self, effort: int) -> Ask:
        searched = {"metric_type": "IP", "params": {"ef": effort}}

        def ask(vectors: Vectors) -> list[list[int]]:
            # Eventually: no wait for writes, the fastest of its consistency levels.
            found = self._collection.search(
                vectors, "vector", searched, NEIGHBOURS, consistency_level="Eventually"
            )
            return [list(hits.ids) for hits in found]

        return ask


if __name__ == "__main__":
    main({"milvus": Milvus})
