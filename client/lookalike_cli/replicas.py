"""What one replica says of itself, over its three ports."""

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_health.v1 import health_pb2, health_pb2_grpc  # type: ignore[import-untyped]
from lookalike.embedder.v1 import embedder_pb2, embedder_pb2_grpc
from lookalike.search.v1 import admin_pb2, admin_pb2_grpc

from lookalike_cli.addresses import Replica
from lookalike_cli.channels import open_channel

TIMEOUT_SECONDS = 2.0
USUAL_METRICS_PORTS = {"embedder": 9151, "search": 9161}


@dataclass(frozen=True)
class Serving:
    """What a replica serves. An embedder has neither index nor generation.

    live_recall: of so many sampled answers; None without any. queries, internal_errors: since this
    replica serves it.
    """

    space_id: str
    index: str = ""
    generation: int = 0
    created: datetime | None = None
    is_current: bool = True
    is_pinned: bool = False
    items: int = 0
    queries: int = 0
    internal_errors: int = 0
    live_recall: float | None = None
    live_recall_samples: int = 0


@dataclass(frozen=True)
class Refused:
    """A generation that the replica does not take, and why."""

    index: str
    generation: int
    reason: str
    message: str
    time: datetime


@dataclass(frozen=True)
class Pin:
    """A generation that stays whatever CURRENT says."""

    index: str
    generation: int
    since: datetime
    reason: str


@dataclass(frozen=True)
class Stored:
    """What the store holds of an index, as the replica saw it last."""

    index: str
    newest: int
    has_current: bool
    held_since: datetime | None = None
    hold_reason: str = ""


@dataclass(frozen=True)
class State:
    """reachable: whether it answered; trouble says why not. runs: an embedder's device.

    missing: the indexes that it has to serve before it is ready, and does not serve yet.
    store_read, store_trouble: when the store was read last, and what of it could not be.
    started, store_read: None where the replica does not say.
    """

    reachable: bool
    ready: bool = False
    serving: Sequence[Serving] = ()
    refused: Sequence[Refused] = ()
    pins: Sequence[Pin] = ()
    stored: Sequence[Stored] = ()
    missing: Sequence[str] = ()
    store_read: datetime | None = None
    store_trouble: str = ""
    runs: str = ""
    version: str = ""
    started: datetime | None = None
    trouble: str = ""


def parse_replica(text: str, service: str) -> Replica:
    """HOST:PORT[,ADMIN[,METRICS]]: the admin port is the next one, /metrics on the usual port."""
    address, *others = text.split(",")
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or len(others) > 2:
        raise ValueError(f"expected HOST:PORT[,ADMIN[,METRICS]], got {text!r}")
    usual = [f"{host}:{int(port) + 1}", f"{host}:{USUAL_METRICS_PORTS[service]}"]
    admin, metrics = [*others, *usual[len(others) :]]
    return Replica(address, admin, metrics)


def find_replicas(text: str, service: str) -> list[Replica]:
    """As `parse_replica`; a name with several addresses, as a headless Service's, is so many.

    gRPC's dns:///NAME:PORT is read as NAME:PORT. ValueError for what cannot be meant.
    """
    text = text.removeprefix("dns:///")
    replica = parse_replica(text, service)
    host, _, port = replica.address.rpartition(":")
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    except OSError:  # the replica's line says that nobody is there
        return [replica]
    if "," in text or host == "localhost":
        return [replica]
    return at_each(sorted({str(address[0]) for *_, address in found}), replica)


def at_each(hosts: Sequence[str], replica: Replica) -> list[Replica]:
    """The same ports at each host; their certificates are for the name. One host is the name's."""
    if len(hosts) == 1:
        return [replica]
    name = replica.address.rpartition(":")[0]
    ports = [each.rpartition(":")[2] for each in replica.addresses]
    shown = [f"[{host}]" if ":" in host else host for host in hosts]
    places = ([f"{host}:{port}" for port in ports] for host in shown)
    return [Replica(address, admin, metrics, name) for address, admin, metrics in places]


def embedder_state(replica: Replica) -> State:
    try:
        ready = _healthy(replica)
        with open_channel(replica.address, replica.name) as channel:
            stub = embedder_pb2_grpc.EmbedderServiceStub(channel)
            info = stub.GetInfo(embedder_pb2.GetInfoRequest(), timeout=TIMEOUT_SECONDS)
    except grpc.RpcError as error:
        return State(reachable=False, trouble=_said(error))
    runs = f"{info.device}, {info.engine} {info.precision}".strip(", ")
    serving = [Serving(info.space_id)]
    return State(reachable=True, ready=ready, serving=serving, runs=runs, version=info.version)


def search_state(replica: Replica) -> State:
    try:
        with open_channel(replica.admin_address, replica.name) as channel:
            stub = admin_pb2_grpc.IndexAdminServiceStub(channel)
            status = stub.GetStatus(admin_pb2.GetStatusRequest(), timeout=TIMEOUT_SECONDS)
    except grpc.RpcError as error:
        return State(reachable=False, trouble=_said(error))
    return State(
        reachable=True,
        ready=status.ready,
        serving=[_serving(each) for each in status.loaded],
        refused=[_refused(each) for each in status.refused],
        pins=[_pin(each) for each in status.pinned],
        stored=[_stored(each) for each in status.stored],
        missing=list(status.missing),
        store_read=_moment(status.store_read_time),
        store_trouble=status.store_trouble,
        version=status.version,
        started=_moment(status.start_time),
    )


def _serving(loaded: admin_pb2.LoadedGeneration) -> Serving:
    return Serving(
        space_id=loaded.space_id,
        index=loaded.index,
        generation=loaded.generation,
        created=_moment(loaded.create_time),
        is_current=loaded.is_current,
        is_pinned=loaded.is_pinned,
        items=loaded.item_count,
        queries=loaded.queries,
        internal_errors=loaded.internal_errors,
        live_recall=loaded.live_recall if loaded.live_recall_samples else None,
        live_recall_samples=loaded.live_recall_samples,
    )


def _refused(each: admin_pb2.RefusedGeneration) -> Refused:
    moment = each.refuse_time.ToDatetime(UTC)
    return Refused(each.index, each.generation, each.reason, each.message, moment)


def _pin(each: admin_pb2.PinnedGeneration) -> Pin:
    return Pin(each.index, each.generation, each.pin_time.ToDatetime(UTC), each.reason)


def _stored(each: admin_pb2.StoredIndex) -> Stored:
    held_since = each.hold_time.ToDatetime(UTC) if each.HasField("hold_time") else None
    return Stored(
        each.index, each.newest_generation, each.has_current, held_since, each.hold_reason
    )


def _moment(stamp: Timestamp) -> datetime | None:
    return stamp.ToDatetime(UTC) if stamp.seconds else None


def _healthy(replica: Replica) -> bool:
    with open_channel(replica.admin_address, replica.name) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        reply = stub.Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_SECONDS)
    return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)


def _said(error: grpc.RpcError) -> str:
    return f"{error.code().name}: {error.details()}"
