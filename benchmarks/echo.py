"""A grpc.server that reads real requests and writes the same answers each time.

What a call costs any Python service: nothing stands around its handlers. Where it is asked for, our
own server does (lookalike_kit), or some work is done in the handler.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import Synchronized
from types import TracebackType
from typing import Any

import grpc
from google.protobuf.message import Message
from prometheus_client import CollectorRegistry

from lookalike_kit.port import Registration
from lookalike_kit.server import Server
from lookalike_kit.server_config import MiB, ServerConfig

THREADS = 8
_ANY = "127.0.0.1:0"

Work = Callable[[Any], float]
"""Done with each request before the answer; the seconds that are counted."""


@dataclass(frozen=True)
class Echo:
    """The process."""

    process: multiprocessing.process.BaseProcess
    address: str
    _worked: Synchronized[float]

    @classmethod
    def start(
        cls,
        service: str,
        methods: Mapping[str, tuple[type[Message], Message]],
        *,
        around: bool = False,
        work: Work | None = None,
    ) -> Echo:
        """methods: by name, what comes and what goes back. around: whether our server is.

        `work` is a function of a module, as another process runs it.
        """
        spawn = multiprocessing.get_context("spawn")
        here, there = spawn.Pipe()
        worked = spawn.Value("d", 0.0)
        told = {name: (of, type(to), to.SerializeToString()) for name, (of, to) in methods.items()}
        serve = _serve_ours if around else _serve
        process = spawn.Process(
            target=serve, args=(there, _Echoed(service, told, worked, work)), daemon=True
        )
        process.start()
        return cls(process, here.recv(), worked)

    @property
    def pid(self) -> int:
        return self.process.pid or 0

    @property
    def worked_seconds(self) -> float:
        """The sum of what `work` returned."""
        return self._worked.value

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


@dataclass(frozen=True)
class _Echoed:
    service: str
    methods: Mapping[str, tuple[type[Message], type[Message], bytes]]
    worked: Synchronized[float]
    work: Work | None

    def register(self, server: grpc.Server) -> None:
        handlers = {
            name: self._handler(of, to.FromString(content))
            for name, (of, to, content) in self.methods.items()
        }
        server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler(self.service, handlers)]
        )

    def _handler(self, of: type[Message], answer: Message) -> grpc.RpcMethodHandler[Any, Any]:
        work, worked = self.work, self.worked

        def answered(request: Any, _context: grpc.ServicerContext) -> Message:
            if work is not None:
                seconds = work(request)
                with worked.get_lock():
                    worked.value += seconds
            return answer

        return grpc.unary_unary_rpc_method_handler(
            answered,
            request_deserializer=of.FromString,
            response_serializer=type(answer).SerializeToString,
        )


def _serve(pipe: Connection, echoed: _Echoed) -> None:
    server = grpc.server(ThreadPoolExecutor(THREADS))
    echoed.register(server)
    port = server.add_insecure_port(_ANY)
    server.start()
    pipe.send(f"127.0.0.1:{port}")
    server.wait_for_termination()


def _serve_ours(pipe: Connection, echoed: _Echoed) -> None:
    config = ServerConfig(
        address=_ANY,
        admin_address=_ANY,
        metrics_address=_ANY,
        threads=72,  # the embedder's
        max_message_bytes=20 * MiB,
    )
    server = Server(
        config, "echo", CollectorRegistry(), [Registration(echoed.service, echoed.register)]
    )
    addresses = server.start()
    server.set_ready(True)
    pipe.send(addresses.address)
    server.run_until_signal()
