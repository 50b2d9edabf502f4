"""A client that counts: calls, and those that failed."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Unpack

from lookalike_client import (
    Answer,
    Client,
    Embedding,
    ImageFailed,
    LookalikeError,
    Region,
    SearchOptions,
)

DEADLINE_SECONDS = 10.0


@dataclass
class Tally:
    """How many calls were made, and what became of those that failed."""

    calls: int = 0
    failures: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def counted(self) -> Iterator[None]:
        with self._lock:
            self.calls += 1
        try:
            yield
        except LookalikeError as error:
            with self._lock:
                self.failures.append(f"{error.status.name}: {error}")
            raise


class CountingClient(Client):
    """The client, with every Embed and Search in a tally."""

    def __init__(self, tally: Tally, *, embedder: str = "", search: str = "") -> None:
        super().__init__(embedder=embedder, search=search, deadline_seconds=DEADLINE_SECONDS)
        self._tally = tally
        self._targets = embedder, search

    def uncounted(self) -> Client:
        """A client of the same services for calls that are meant to be refused."""
        embedder, search = self._targets
        return Client(embedder=embedder, search=search, deadline_seconds=DEADLINE_SECONDS)

    def embed(
        self,
        images: Sequence[bytes],
        *,
        bulk: bool = False,
        deadline_seconds: float | None = None,
        request_id: str | None = None,
    ) -> list[Embedding | ImageFailed]:
        with self._tally.counted():
            return super().embed(
                images, bulk=bulk, deadline_seconds=deadline_seconds, request_id=request_id
            )

    def embed_regions(
        self,
        images: Sequence[tuple[bytes, Sequence[Region]]],
        *,
        bulk: bool = False,
        deadline_seconds: float | None = None,
        request_id: str | None = None,
    ) -> list[tuple[Embedding, ...] | ImageFailed]:
        with self._tally.counted():
            return super().embed_regions(
                images, bulk=bulk, deadline_seconds=deadline_seconds, request_id=request_id
            )

    def search(self, index: str, embedding: Embedding, **options: Unpack[SearchOptions]) -> Answer:
        with self._tally.counted():
            return super().search(index, embedding, **options)
