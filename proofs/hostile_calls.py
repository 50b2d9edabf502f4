"""Calls as strangers make them: a service refuses each in its words, or answers it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from lookalike.v1.embedding_pb2 import Embedding
from lookalike_client import (
    Client,
    DeadlineExceeded,
    LookalikeError,
    ServiceFault,
    Unavailable,
    filters,
)

from proofs.hostile_images import corpus
from proofs.tiers import DIMENSION, INDEX, SPACE


class HostileCalls:
    """Images that are none, bombs, and searches for what there is not, in turn."""

    def __init__(self, client: Client) -> None:
        embeds = (partial(client.embed, [image.content]) for image in corpus())
        self.calls: list[Callable[[], object]] = [*_searches(client), *embeds]

    def make(self, number: int) -> None:
        """Raises LookalikeError where the service had trouble, and not only the caller."""
        try:
            self.calls[number % len(self.calls)]()
        except (Unavailable, DeadlineExceeded, ServiceFault):
            raise
        except LookalikeError:
            return


def _searches(client: Client) -> Iterator[Callable[[], object]]:
    good = _embedding(np.ones(DIMENSION))
    for strange in (
        _embedding(np.ones(DIMENSION - 1)),
        _embedding(np.full(DIMENSION, np.nan)),
        _embedding(np.zeros(DIMENSION)),
        _embedding(np.full(DIMENSION, 1e38)),
        Embedding(values=b"\0" * 3, space_id=SPACE),
        Embedding(values=good.values, space_id="another space"),
    ):
        yield partial(client.search, INDEX, strange)
    yield partial(client.search, "../../etc/passwd", good)
    yield partial(client.search, INDEX, good, k=1_000_000)
    yield partial(client.search, INDEX, good, diversity=float("nan"))
    yield partial(client.search, INDEX, good, exclude=["x" * 100] * 1_001)
    yield partial(client.search, INDEX, good, filters=[filters.equal("no such", "\0")])
    yield partial(client.search_item, INDEX, "no such item")
    yield partial(client.search_item, INDEX, "x" * 1_000_000)
    yield partial(client.search_batch, INDEX, [good] * 257)


def _embedding(vector: np.ndarray) -> Embedding:
    return Embedding(values=vector.astype("<f4").tobytes(), space_id=SPACE)
