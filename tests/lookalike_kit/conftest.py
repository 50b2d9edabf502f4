"""A small service of its own, served by the kit over real ports."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue
from prometheus_client import CollectorRegistry

from lookalike_kit.port import Registration
from lookalike_kit.server import Addresses, Server
from lookalike_kit.server_config import ServerConfig
from lookalike_kit.traces import Traces

ECHO, ADMIN = "test.v1.EchoService", "test.v1.AdminService"
Answer = Callable[[StringValue, grpc.ServicerContext], StringValue]


@dataclass
class Served:
    """A running server and channels to it."""

    server: Server
    addresses: Addresses
    registry: CollectorRegistry
    channel: grpc.Channel
    admin: grpc.Channel

    @property
    def say(self) -> Any:
        return self._method("Say")

    @property
    def ready(self) -> Any:
        return self._method("Ready")

    def _method(self, name: str) -> Any:
        return self.channel.unary_unary(
            f"/{ECHO}/{name}",
            request_serializer=StringValue.SerializeToString,
            response_deserializer=StringValue.FromString,
        )

    def metric(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, labels) or 0.0


@dataclass
class Gate:
    """Holds calls until it is opened, and counts those that came in."""

    opened: threading.Event = field(default_factory=threading.Event)
    entered: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def wait_for_a_call(self) -> None:
        assert self.entered.acquire(timeout=20)

    def __call__(self, request: StringValue, context: grpc.ServicerContext) -> StringValue:
        self.entered.release()
        self.opened.wait(30)
        return request


def echo_service(answer: Answer, name: str = ECHO) -> Registration:
    """Say, which answers as `answer` does, and Ready; registered as generated code does it."""

    def register(server: grpc.Server) -> None:
        handlers = {
            method: grpc.unary_unary_rpc_method_handler(
                answers,
                request_deserializer=StringValue.FromString,
                response_serializer=StringValue.SerializeToString,
            )
            for method, answers in (("Say", answer), ("Ready", lambda request, _: request))
        }
        generic = grpc.method_handlers_generic_handler(name, handlers)
        server.add_generic_rpc_handlers((generic,))
        server.add_registered_method_handlers(name, handlers)

    return Registration(name, register, ready_made=("Ready",))


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    """serve(answer, threads=…): a server whose Say runs `answer`, stopped at the end."""
    running: list[Served] = []

    def start(
        answer: Answer, traces: Traces | None = None, *, ready: bool = True, **settings: Any
    ) -> Served:
        config = ServerConfig(
            **{
                "address": "127.0.0.1:0",
                "admin_address": "127.0.0.1:0",
                "metrics_address": "127.0.0.1:0",
                "threads": 4,
                "grace_seconds": 5.0,
                **settings,
            }
        )
        registry = CollectorRegistry()
        services, admin_services = [echo_service(answer)], [echo_service(answer, ADMIN)]
        server = Server(config, "echo", registry, services, admin_services, traces)
        addresses = server.start()
        server.set_ready(ready)
        served = Served(
            server,
            addresses,
            registry,
            grpc.insecure_channel(addresses.address),
            grpc.insecure_channel(addresses.admin_address),
        )
        running.append(served)
        return served

    yield start
    for served in running:
        served.channel.close()
        served.admin.close()
        served.server.stop(drain_seconds=0)


@pytest.fixture
def gate() -> Iterator[Gate]:
    held = Gate()
    yield held
    held.opened.set()
