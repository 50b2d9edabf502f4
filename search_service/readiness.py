"""When a replica may be called: from the first moment on, and for good."""

import threading
from collections.abc import Callable, Collection

from search_service.catalog import Catalog


class Readiness:
    """Ready once every required index is served; without any, after the first look at all.

    A later refusal never takes that back. on_ready is called once.
    """

    def __init__(
        self, catalog: Catalog, required: Collection[str], on_ready: Callable[[], None]
    ) -> None:
        self._catalog = catalog
        self._required = frozenset(required)
        self._on_ready = on_ready
        self._ready = threading.Event()

    @property
    def is_ready(self) -> bool:
        return self._ready.is_set()

    @property
    def answers(self) -> bool:
        """Whether calls may come and there is something to answer from."""
        return self.is_ready and bool(self._catalog.serving.generations)

    def missing(self) -> list[str]:
        """The required indexes that are not served, sorted."""
        return sorted(self._required - self._catalog.serving.generations.keys())

    def looked(self, everywhere: bool) -> None:
        """After each look at the store; everywhere: at all indexes."""
        if not self.is_ready and (self._required or everywhere) and not self.missing():
            self._on_ready()
            self._ready.set()
