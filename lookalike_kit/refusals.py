"""Refusals before a call has a thread: at once, for next to nothing, whatever else is going on."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

import grpc

from lookalike_kit.errors import ServiceError
from lookalike_kit.interceptors import Handler


class Refuser:
    """One thread that says errors, beside the threads that work."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="refusal")

    def refusing(self, error: ServiceError) -> Handler:
        """A handler that raises `error`, for a method of any kind."""

        def refuse(_: Iterator[Any], __: grpc.ServicerContext) -> NoReturn:
            raise error

        # grpc looks for this attribute; it is not stable API, so the tests pin it.
        refuse.experimental_thread_pool = self._thread  # type: ignore[attr-defined]
        # A stream of requests is not read before the handler runs: a refusal must not wait for the
        # body of a slow sender. On the wire there is no difference.
        return grpc.stream_unary_rpc_method_handler(refuse)

    def close(self) -> None:
        """Ends the thread."""
        self._thread.shutdown(wait=False)
