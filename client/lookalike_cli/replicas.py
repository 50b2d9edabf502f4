"""What one replica says of itself, over its three ports."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc  # type: ignore[import-untyped]
from lookalike.embedder.v1 import embedder_pb2, embedder_pb2_grpc
from lookalike.search.v1 import admin_pb2, admin_pb2_grpc

from lookalike_cli.addresses import Replica
from lookalike_cli.channels import open_channel

TIMEOUT_SECONDS = 2.0
USUAL_METRICS_PORTS = {"embedder": 9151, "search": 9161}


@dataclass(frozen=True)
class Serving:
    """What a replica serves. An embedder has neither index nor generation."""

    space_id: str
    index: str = ""
    generation: int = 0
    created: datetime | None = None
    is_current: bool = True


@dataclass(frozen=True)
class State:
    """ready: False where nobody answers. pins: what stays whatever CURRENT says, and why.

    trouble: the last refusal, or why there is no answer.
    """

    ready: bool
    serving: Sequence[Serving] = ()
    pins: Sequence[str] = ()
    trouble: str = ""


def parse_replica(text: str, service: str) -> Replica:
    """HOST:PORT[,ADMIN[,METRICS]]: the admin port is the next one, /metrics on the usual port."""
    address, *others = text.split(",")
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or len(others) > 2:
        raise ValueError(f"{service}: expected HOST:PORT[,ADMIN[,METRICS]], got {text!r}")
    usual = [f"{host}:{int(port) + 1}", f"{host}:{USUAL_METRICS_PORTS[service]}"]
    admin, metrics = [*others, *usual[len(others) :]]
    return Replica(address, admin, metrics)


def embedder_state(replica: Replica) -> State:
    try:
        ready = _healthy(replica.admin_address)
        with open_channel(replica.address) as channel:
            stub = embedder_pb2_grpc.EmbedderServiceStub(channel)
            info = stub.GetInfo(embedder_pb2.GetInfoRequest(), timeout=TIMEOUT_SECONDS)
    except grpc.RpcError as error:
        return State(False, trouble=_said(error))
    return State(ready, [Serving(info.space_id)])


def search_state(replica: Replica) -> State:
    try:
        with open_channel(replica.admin_address) as channel:
            stub = admin_pb2_grpc.IndexAdminServiceStub(channel)
            status = stub.GetStatus(admin_pb2.GetStatusRequest(), timeout=TIMEOUT_SECONDS)
    except grpc.RpcError as error:
        return State(False, trouble=_said(error))
    refused = status.refused[0] if status.refused else None
    trouble = f"{refused.index} {refused.generation}: {refused.reason}" if refused else ""
    pins = [_pin(one) for one in status.pinned]
    return State(status.ready, [_serving(one) for one in status.loaded], pins, trouble)


def _serving(loaded: admin_pb2.LoadedGeneration) -> Serving:
    created = loaded.create_time.ToDatetime(UTC) if loaded.create_time.seconds else None
    return Serving(loaded.space_id, loaded.index, loaded.generation, created, loaded.is_current)


def _pin(pinned: admin_pb2.PinnedGeneration) -> str:
    since = pinned.pin_time.ToDatetime(UTC)
    return (
        f"{pinned.index} is pinned to {pinned.generation} since {since:%Y-%m-%d %H:%M}Z: "
        f"{pinned.reason}"
    )


def _healthy(admin_address: str) -> bool:
    with open_channel(admin_address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        reply = stub.Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_SECONDS)
    return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)


def _said(error: grpc.RpcError) -> str:
    return f"{error.code().name}: {error.details()}"
