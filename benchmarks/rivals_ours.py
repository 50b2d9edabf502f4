"""Our side of benchmarks.rivals: the search service, a replica a core, asked by its stubs."""

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Literal

from lookalike.search.v1 import search_pb2 as pb
from lookalike.search.v1 import search_pb2_grpc as rpc
from lookalike.v1.embedding_pb2 import Embedding
from lookalike_cli import processes
from lookalike_client._channel import open_channel

from benchmarks.catalogues import INDEX, SPACE, source
from benchmarks.rivals_client import CLIENTS, NEIGHBOURS, Ask, Vectors, main
from search_service.build import BuildOptions, build, publish
from search_service.store import Store

ENGINES: tuple[Literal["fastest", "annoy"], ...] = ("fastest", "annoy")
OPTIONS = pb.SearchOptions(k=NEIGHBOURS, accuracy=pb.ACCURACY_RECALL_99)


class Ours:
    """The index as the builder made it: the effort is its own, for a recall of 0.99."""

    def __init__(self, folder: Path, engine: Literal["fastest", "annoy"]) -> None:
        self._folder = folder / f"ours-{engine}"
        self._options = BuildOptions(engine=engine)

    def build(self, vectors: Vectors) -> Mapping[str, float]:
        begun = perf_counter()
        build(source(vectors), self._folder / "built", self._options)
        built = perf_counter()
        publish(Store(self._folder), INDEX, self._folder / "built")
        published = perf_counter()
        with self.serving():
            served = perf_counter()
        return {
            "build": built - begun,
            "publish": published - built,
            "until served": served - published,
        }

    @contextmanager
    def serving(self) -> Iterator[tuple[int, ...]]:
        with ExitStack() as stack:
            replicas = []
            for core in sorted(os.sched_getaffinity(0)):
                cache = self._folder / f"cache-{core}"
                with _on(core):
                    search = processes.search(self._folder, cache, threads=CLIENTS)
                    replicas.append(stack.enter_context(search))
            target = "ipv4:" + ",".join(replica.address for replica in replicas)
            self._stub = rpc.SearchServiceStub(stack.enter_context(open_channel(target)))
            yield tuple(replica.process.pid for replica in replicas)

    def asker(self, effort: int) -> Ask:  # noqa: ARG002 -- see the class
        return self._ask

    def _ask(self, vectors: Vectors) -> list[list[int]]:
        queries = [
            pb.Query(embedding=Embedding(values=vector.tobytes(), space_id=SPACE))
            for vector in vectors
        ]
        if len(queries) == 1:
            one = pb.SearchRequest(index=INDEX, query=queries[0], options=OPTIONS)
            return [_rows(self._stub.Search(one))]
        many = pb.SearchBatchRequest(index=INDEX, queries=queries, options=OPTIONS)
        return [_rows(answer) for answer in self._stub.SearchBatch(many).answers]


@contextmanager
def _on(core: int) -> Iterator[None]:
    """What is started meanwhile has this core to itself, as far as its like are concerned."""
    all_of_them = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    yield
    os.sched_setaffinity(0, all_of_them)


def _rows(answer: pb.SearchResponse | pb.BatchAnswer) -> list[int]:
    return [int(hit.item_id.removeprefix("item-")) for hit in answer.hits]


if __name__ == "__main__":
    main({f"ours-{engine}": partial(Ours, engine=engine) for engine in ENGINES})
