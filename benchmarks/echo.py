"""A bare grpc.server that reads real requests and writes the same answers each time.

What a call costs any Python service: nothing stands around its handlers.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

import grpc
from google.protobuf.message import Message

THREADS = 8


@dataclass(frozen=True)
class Echo:
    """The process."""

    process: multiprocessing.process.BaseProcess
    address: str

    @classmethod
    def start(cls, service: str, methods: Mapping[str, tuple[type[Message], Message]]) -> Echo:
        """methods: by name, what comes and what goes back."""
        spawn = multiprocessing.get_context("spawn")
        here, there = spawn.Pipe()
        told = {name: (of, type(to), to.SerializeToString()) for name, (of, to) in methods.items()}
        process = spawn.Process(target=_serve, args=(there, service, told), daemon=True)
        process.start()
        return cls(process, f"127.0.0.1:{here.recv()}")

    @property
    def pid(self) -> int:
        return self.process.pid or 0

    def __enter__(self) -> Echo:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.join()


def _serve(
    pipe: Connection,
    service: str,
    methods: Mapping[str, tuple[type[Message], type[Message], bytes]],
) -> None:
    handlers = {name: _handler(of, to.FromString(b)) for name, (of, to, b) in methods.items()}
    server = grpc.server(ThreadPoolExecutor(THREADS))
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, handlers)])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    pipe.send(port)
    server.wait_for_termination()


def _handler(request: type[Message], answer: Message) -> grpc.RpcMethodHandler[Any, Any]:
    return grpc.unary_unary_rpc_method_handler(
        lambda _request, _context: answer,
        request_deserializer=request.FromString,
        response_serializer=type(answer).SerializeToString,
    )
