"""A real replica as a process of its own, and what one asks of it."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any

import grpc
import numpy as np
from lookalike.search.v1 import admin_pb2, search_pb2
from lookalike.search.v1.admin_pb2_grpc import IndexAdminServiceStub
from lookalike.search.v1.search_pb2_grpc import SearchServiceStub
from lookalike.v1.embedding_pb2 import Embedding
from lookalike_cli import processes
from lookalike_cli.processes import Running

from proofs.catalogue import SPACE
from search_service.store import Store

ANSWER_SECONDS = 30
# A child may take 300 s for its look: whoever takes longer hangs.
REFRESH_SECONDS = 1_200


@dataclass
class Replica:
    """A running search service."""

    running: Running
    search: Any
    admin: Any

    def ask(self, index: str, query: search_pb2.Query, **options: Any) -> search_pb2.SearchResponse:
        wanted = search_pb2.SearchOptions(include_attributes=True, photos_per_item=2, **options)
        asked = search_pb2.SearchRequest(index=index, query=query, options=wanted)
        answer: search_pb2.SearchResponse = self.search.Search(asked, timeout=ANSWER_SECONDS)
        return answer

    def refresh(self) -> admin_pb2.GetStatusResponse:
        answer = self.admin.Refresh(admin_pb2.RefreshRequest(), timeout=REFRESH_SECONDS)
        status: admin_pb2.GetStatusResponse = answer.status
        return status

    def served(self, index: str) -> int | None:
        """The number of the generation that is served."""
        loaded = self.admin.GetStatus(admin_pb2.GetStatusRequest(), timeout=ANSWER_SECONDS).loaded
        return next((each.generation for each in loaded if each.index == index), None)


def by_vector(vector: np.ndarray) -> search_pb2.Query:
    values = vector.astype("<f4").tobytes()
    return search_pb2.Query(embedding=Embedding(values=values, space_id=SPACE))


def by_item(item_id: str) -> search_pb2.Query:
    return search_pb2.Query(item_id=item_id)


@contextmanager
def replica(store: Store, cache: Path, **settings: Any) -> Iterator[Replica]:
    """A replica that looks when told to, or as `poll_seconds` says; killed at the end."""
    # Many small matrices in many processes: a thread for each core in each only gets in the way.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    usual = {"poll_seconds": 3600, "drain_seconds": 0, "log": cache.parent / "replica.log"}
    with (
        processes.search(store.root, cache, **{**usual, **settings}) as running,
        grpc.insecure_channel(running.address) as channel,
        grpc.insecure_channel(running.admin_address) as admin,
    ):
        yield Replica(running, SearchServiceStub(channel), IndexAdminServiceStub(admin))


@dataclass
class Calls:
    """What became of the calls of a bystander."""

    answered: int = 0
    failed: int = 0
    last_error: str = ""


@contextmanager
def bystander(replica: Replica, index: str, query: search_pb2.Query) -> Iterator[Calls]:
    """Asks an index again and again while something else is going on."""
    calls, stop = Calls(), Event()

    def ask() -> None:
        while not stop.wait(0.005):
            try:
                replica.ask(index, query)
                calls.answered += 1
            except grpc.RpcError as error:
                calls.failed += 1
                calls.last_error = str(error)

    asking = Thread(target=ask, daemon=True)
    asking.start()
    try:
        yield calls
    finally:
        stop.set()
        asking.join()


@contextmanager
def workplace() -> Iterator[Path]:
    """A folder that goes when the proof ends; in memory where the system offers that."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(
        prefix="proof-", dir=memory if memory.is_dir() else None
    ) as at:
        yield Path(at)
