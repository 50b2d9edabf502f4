"""Callers who ask a fleet all the time: a photo is embedded, and searched for with its vector."""

import io
import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import numpy as np
from lookalike.embedder.v1 import embedder_pb2
from lookalike.embedder.v1.embedder_pb2_grpc import EmbedderServiceStub
from lookalike.search.v1 import search_pb2
from lookalike.search.v1.search_pb2_grpc import SearchServiceStub
from PIL import Image

from proofs.watched_fleet import EMBEDDER, SEARCH, Fleet

_PAUSE_SECONDS = 0.05
_DEADLINE_SECONDS = 10


@contextmanager
def callers(fleet: Fleet, count: int = 2) -> Iterator[None]:
    """Threads that embed a photo and search with its vector, one after the other."""
    stop = threading.Event()
    threads = [
        threading.Thread(target=_call, args=(fleet, stop, seed), daemon=True)
        for seed in range(count)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _call(fleet: Fleet, stop: threading.Event, seed: int) -> None:
    generator, channels = np.random.default_rng(seed), _Channels()
    for turn in itertools.count(seed):
        if stop.wait(_PAUSE_SECONDS):
            break
        try:
            embedding = _embed(channels, fleet, _photo(generator), turn)
            _search(channels, fleet, embedding, turn)
            fleet.answered += 1
        except (grpc.RpcError, ZeroDivisionError, IndexError):  # nobody is there; no vector
            fleet.failed += 1
    channels.close()


def _embed(channels: "_Channels", fleet: Fleet, photo: bytes, turn: int) -> Any:
    addresses = fleet.addresses(EMBEDDER)
    stub = EmbedderServiceStub(channels.to(addresses[turn % len(addresses)]))
    priority = embedder_pb2.PRIORITY_BULK if turn % 5 == 0 else embedder_pb2.PRIORITY_ONLINE
    asked = embedder_pb2.EmbedRequest(images=[embedder_pb2.Image(content=photo)], priority=priority)
    return stub.Embed(asked, timeout=_DEADLINE_SECONDS).results[0].embeddings[0]


def _search(channels: "_Channels", fleet: Fleet, embedding: Any, turn: int) -> None:
    addresses, indexes = fleet.addresses(SEARCH), fleet.indexes
    stub = SearchServiceStub(channels.to(addresses[turn % len(addresses)]))
    asked = search_pb2.SearchRequest(
        index=indexes[turn // 2 % len(indexes)], query=search_pb2.Query(embedding=embedding)
    )
    stub.Search(asked, timeout=_DEADLINE_SECONDS)


def _photo(generator: np.random.Generator) -> bytes:
    file = io.BytesIO()
    shade = tuple(int(value) for value in generator.integers(1, 255, 3))
    Image.new("RGB", (64, 64), shade).save(file, "JPEG")
    return file.getvalue()


class _Channels:
    """One to each address."""

    def __init__(self) -> None:
        self._open: dict[str, grpc.Channel] = {}

    def to(self, address: str) -> grpc.Channel:
        if address not in self._open:
            self._open[address] = grpc.insecure_channel(address)
        return self._open[address]

    def close(self) -> None:
        for channel in self._open.values():
            channel.close()
