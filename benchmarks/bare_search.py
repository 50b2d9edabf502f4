"""A search in the handler of a server around which nothing stands: a call costs that at the least.

For benchmarks.echo, whose server is a process of its own and reads the store's folder from STORE.
"""

import os
from functools import cache
from pathlib import Path
from time import thread_time

from lookalike.search.v1 import search_pb2 as pb

from benchmarks.catalogues import INDEX, SPACE
from search_service.build.survey import open_current
from search_service.generation import Generation
from search_service.options import read_options
from search_service.query import ByVector, Options
from search_service.store import Store

STORE = "BENCH_STORE"


def search(request: pb.SearchRequest) -> float:
    """The CPU seconds that it took."""
    generation, options = _served()
    began = thread_time()
    generation.nearest([ByVector(request.query.embedding.values, SPACE, "query")], options)
    return thread_time() - began


@cache
def _served() -> tuple[Generation, Options]:
    generation = open_current(Store(Path(os.environ[STORE])), INDEX)
    return generation, read_options(pb.SearchOptions(), queries=1)
