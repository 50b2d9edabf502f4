"""One process's servers: calls, health and admin, metrics; from binding ports to the drain."""

import faulthandler
import ipaddress
import os
import queue
import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import NoReturn

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc  # type: ignore[import-untyped]
from grpc_reflection.v1alpha import reflection  # type: ignore[import-untyped]
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from lookalike_kit import logs
from lookalike_kit.admission import AdmissionInterceptor, AdmissionPool
from lookalike_kit.config import ConfigError, host_and_port, setting
from lookalike_kit.interceptors import StatusInterceptor
from lookalike_kit.metrics import AdmissionMetrics, MetricsServer, RpcMetrics, serve_metrics

MiB = 1 << 20
HEALTH = "grpc.health.v1.Health"
# SERVING from the start to the end, ready or not: what a liveness probe asks by name.
LIVE = "live"
_ABANDON_SECONDS = 0.5  # to refuse what comes, and again to finish

log = logs.get(__name__)


@dataclass(frozen=True, kw_only=True)
class ServerConfig:
    """What every service is told; a service's own configuration extends it."""

    address: str = setting("127.0.0.1:50051", doc="Where calls are taken. Port 0: any free one.")
    admin_address: str = setting("127.0.0.1:50052", doc="Where health and admin calls are taken.")
    metrics_address: str = setting("127.0.0.1:9151", doc="Where /metrics is served over HTTP.")
    threads: int = setting(16, minimum=1, maximum=1024, doc="Calls that run at once.")
    max_waiting: int = setting(
        64, minimum=0, maximum=100_000, doc="Calls that wait for a thread; more are refused."
    )
    max_message_bytes: int = setting(
        4 * MiB, minimum=1024, maximum=512 * MiB, doc="The largest request taken, in bytes."
    )
    drain_seconds: float = setting(
        5.0,
        minimum=0,
        maximum=600,
        doc="After SIGTERM: how long to say NOT_SERVING and still serve, until callers have gone.",
    )
    grace_seconds: float = setting(
        10.0, minimum=0, maximum=600, doc="After the drain: how long running calls may still take."
    )
    reflection: bool = setting(False, doc="Whether to describe the services to any caller.")
    log_level: str = setting("info", choices=logs.LEVELS, doc="The least that is logged.")


@dataclass(frozen=True)
class Registration:
    """A service by its full name, and how it is added to a server."""

    full_name: str
    register: Callable[[grpc.Server], None]


@dataclass(frozen=True)
class Addresses:
    """Where the servers listen, as HOST:PORT with the ports they got."""

    address: str
    admin_address: str
    metrics_address: str


class Server:
    """Takes calls on one port, health and admin calls on another: full threads fail no probe.

    `name` marks its lines in the log. In this order: start; set_ready(True) when it can answer;
    run_until_signal.
    """

    def __init__(
        self,
        config: ServerConfig,
        name: str,
        registry: CollectorRegistry,
        services: Sequence[Registration],
        admin_services: Sequence[Registration] = (),
    ) -> None:
        self._config = config
        self._name = name
        self._registry = registry
        self._addresses: Addresses | None = None
        self._metrics: MetricsServer | None = None
        self._ready = False
        self._announced = False
        self._stopped = False
        # Put from signal handlers: SimpleQueue is reentrant, an Event's lock is not.
        self._stop_asked: queue.SimpleQueue[None] = queue.SimpleQueue()

        admission = AdmissionMetrics(registry)
        self._pool = AdmissionPool(
            config.threads, config.max_waiting, admission.wait_seconds.observe
        )
        admission.follow(lambda: self._pool.in_flight)
        self._admission = AdmissionInterceptor(self._pool, admission.refused.inc)
        around = [RpcMetrics(registry), StatusInterceptor()]
        self._calls = grpc.server(
            self._pool, interceptors=[*around, self._admission], options=_options(config)
        )
        self._admin_pool = ThreadPoolExecutor(2, thread_name_prefix="admin")
        self._admin = grpc.server(
            self._admin_pool, interceptors=[*around], options=_options(config)
        )
        self._health = health.HealthServicer(experimental_non_blocking=True)
        self._healthy_names = ("", *(service.full_name for service in services))
        of_health = Registration(
            HEALTH,
            lambda server: health_pb2_grpc.add_HealthServicer_to_server(self._health, server),
        )
        _register(self._calls, services, config.reflection)
        _register(self._admin, (of_health, *admin_services), config.reflection)

    def start(self) -> Addresses:
        """Binds every port and serves, still NOT_SERVING by health.

        Raises ConfigError for an address that cannot be bound.
        """
        config = self._config
        self.set_ready(False)
        self._health.set(LIVE, health_pb2.HealthCheckResponse.SERVING)
        address = _bind(self._calls, "address", config.address)
        admin_address = _bind(self._admin, "admin_address", config.admin_address)
        self._metrics = _bind_metrics(config.metrics_address, self._registry)
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self._registry)
        self._admin.start()
        self._calls.start()
        self._addresses = Addresses(address, admin_address, self._metrics.address)
        return self._addresses

    def set_ready(self, ready: bool) -> None:
        """What health says from now on, for every service; nothing once the server is stopping."""
        self._ready = ready
        status = health_pb2.HealthCheckResponse
        for name in self._healthy_names:
            self._health.set(name, status.SERVING if ready else status.NOT_SERVING)
        if ready and self._addresses and not (self._announced or self._stopped):
            self._announced = True
            log.info("serving", name=self._name, **asdict(self._addresses))

    @property
    def is_ready(self) -> bool:
        """Whether health says SERVING."""
        return self._ready and not self._stopped

    def catch_signals(self) -> None:
        """From here on SIGTERM and SIGINT only ask to stop. Main thread only.

        run_until_signal does it; what is ready before that does it before it says so.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _, __: self.request_stop())

    def request_stop(self) -> None:
        """Ends run_until_signal, from any thread. A second request ends the drain."""
        self._stop_asked.put(None)

    def run_until_signal(self) -> None:
        """Serves until SIGTERM, SIGINT or request_stop, then drains; returns when all is closed."""
        self.catch_signals()
        self._stop_asked.get()
        self.stop()

    def stop(self, drain_seconds: float | None = None) -> None:
        """NOT_SERVING at once; serves on for the drain, then closes.

        The drain is the configured one unless given. Running calls then have grace_seconds to
        finish; new ones are refused meanwhile.
        """
        if self._stopped:
            return
        self._stopped = True
        drain = self._config.drain_seconds if drain_seconds is None else drain_seconds
        self._health.enter_graceful_shutdown()
        log.info(
            "stopping",
            name=self._name,
            drain_seconds=drain,
            grace_seconds=self._config.grace_seconds,
        )
        self._wait_for_second_request(drain)
        self._calls.stop(self._config.grace_seconds).wait()
        self._pool.shutdown(wait=False)
        self._admission.close()
        if self._metrics is not None:
            self._metrics.stop()
        self._admin.stop(None).wait()
        self._admin_pool.shutdown(wait=False)
        log.info("stopped", name=self._name, abandoned_calls=self._pool.in_flight)

    def abandon(self) -> NoReturn:
        """For a process that can do no more work: NOT_SERVING at once, exit code 1 in a second.

        From any thread, whatever the others hang in. Until then the handlers still refuse what
        comes by their own reasons: gRPC's own, CANCELLED, says too little.
        """
        # Needs no GIL: should anything below hang, the traces of all threads say where.
        faulthandler.dump_traceback_later(3 * _ABANDON_SECONDS, exit=True)
        self._stopped = True
        self._health.enter_graceful_shutdown()
        log.error("abandoned", name=self._name, abandoned_calls=self._pool.in_flight)
        time.sleep(_ABANDON_SECONDS)
        self._calls.stop(_ABANDON_SECONDS).wait()
        os._exit(1)

    def _wait_for_second_request(self, seconds: float) -> None:
        try:
            self._stop_asked.get(timeout=seconds)
        except queue.Empty:
            return


def _options(config: ServerConfig) -> list[tuple[str, int]]:
    return [
        # Under rapid resets a good client got 9 of 45 calls through without, 293 of 294 with.
        ("grpc.max_concurrent_streams", 100),
        ("grpc.max_receive_message_length", config.max_message_bytes),
        ("grpc.max_metadata_size", 8 * 1024),
        ("grpc.absolute_max_metadata_size", 16 * 1024),
        # Clients look names up again only when a connection ends; gRPC spreads the ages by 10 %.
        ("grpc.max_connection_age_ms", 300_000),
        ("grpc.max_connection_age_grace_ms", 30_000),
        # A client may ask every 10 s whether we are there. By default the fourth ping within 20
        # minutes ends its connection with "too many pings", and every call on it.
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        # Two processes that share a port would each get some of the calls.
        ("grpc.so_reuseport", 0),
    ]


def _register(server: grpc.Server, services: Sequence[Registration], described: bool) -> None:
    for service in services:
        service.register(server)
    if described:
        names = [service.full_name for service in services]
        reflection.enable_server_reflection([*names, reflection.SERVICE_NAME], server)


def _bind(server: grpc.Server, name: str, address: str) -> str:
    host, _ = host_and_port(address)
    if not _is_loopback(host):
        log.warning("insecure", setting=name, address=address)
    try:
        port = server.add_insecure_port(address)
    except RuntimeError as error:
        raise _unbindable(name, address, error) from None
    return f"{address.rpartition(':')[0]}:{port}"


def _bind_metrics(address: str, registry: CollectorRegistry) -> MetricsServer:
    try:
        return serve_metrics(address, registry)
    except OSError as error:
        raise _unbindable("metrics_address", address, error) from None


def _unbindable(name: str, address: str, error: Exception) -> ConfigError:
    return ConfigError(
        f"{name}: expected a free HOST:PORT of this machine, got {address} ({error})"
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
