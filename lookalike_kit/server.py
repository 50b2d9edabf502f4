"""One process's servers: calls, health and admin, metrics; from binding ports to the drain."""

import faulthandler
import os
import queue
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import NoReturn

from grpc_health.v1 import health, health_pb2  # type: ignore[import-untyped]
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from lookalike_kit import logs
from lookalike_kit.memory import MemoryGauges
from lookalike_kit.metrics import MetricsServer, serve_metrics
from lookalike_kit.port import Registration, unbindable
from lookalike_kit.ports import Ports
from lookalike_kit.server_config import ServerConfig
from lookalike_kit.traces import Traces

# SERVING from the start to the end, ready or not: what a liveness probe asks by name.
LIVE = "live"
_ABANDON_SECONDS = 0.5  # to refuse what comes, and again to finish
# Beyond the drain and the grace, for what has nothing left to wait for.
END_SECONDS = 10.0

log = logs.get(__name__)


@dataclass(frozen=True)
class Addresses:
    """Where the servers listen, as HOST:PORT with the ports they got."""

    address: str
    admin_address: str
    metrics_address: str
    probe_address: str | None = None


class Server:
    """Takes calls on one port, health and admin calls on another: full threads fail no probe.

    `name` marks its lines in the log. In this order: start; set_ready(True) when it can answer,
    and only then calls are taken; run_until_signal.
    """

    def __init__(
        self,
        config: ServerConfig,
        name: str,
        registry: CollectorRegistry,
        services: Sequence[Registration],
        admin_services: Sequence[Registration] = (),
        traces: Traces | None = None,
    ) -> None:
        self._config = config
        self._name = name
        self._registry = registry
        self._addresses: Addresses | None = None
        self._metrics: MetricsServer | None = None
        self._ready = False
        self._takes_calls = False
        self._stopped = False
        # Put from signal handlers: SimpleQueue is reentrant, an Event's lock is not.
        self._stop_asked: queue.SimpleQueue[None] = queue.SimpleQueue()

        self._health = health.HealthServicer(experimental_non_blocking=True)
        self._healthy_names = ("", *(service.full_name for service in services))
        self._traces = traces
        self._ports = Ports(config, registry, services, admin_services, self._health, traces)

    def start(self) -> Addresses:
        """Binds every port; serves health, admin and metrics, still NOT_SERVING.

        Who connects for calls waits until the server is ready for the first time: calls that it
        could only refuse would come back to it, of all replicas, for being the fastest.
        Raises ConfigError for an address that cannot be bound.
        """
        config = self._config
        self.set_ready(False)
        self._health.set(LIVE, health_pb2.HealthCheckResponse.SERVING)
        ports = self._ports
        address = ports.calls.bind(config.address)
        admin_address = ports.admin.bind(config.admin_address)
        probe_address = None
        if ports.probe is not None and config.probe_address is not None:
            probe_address = ports.probe.bind(config.probe_address)
            ports.probe.start()
        self._metrics = _bind_metrics(config.metrics_address, self._registry)
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self._registry)
        self._registry.register(MemoryGauges())
        self._addresses = Addresses(address, admin_address, self._metrics.address, probe_address)
        ports.admin.start()
        return self._addresses

    def set_ready(self, ready: bool) -> None:
        """What health says from now on, for every service; nothing once the server is stopping."""
        begins = ready and not (self._takes_calls or self._stopped)
        if begins:
            self._ports.calls.start()
            self._takes_calls = True
        self._ready = ready
        status = health_pb2.HealthCheckResponse
        for name in self._healthy_names:
            self._health.set(name, status.SERVING if ready else status.NOT_SERVING)
        if begins and self._addresses:
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
        """Serves until SIGTERM, SIGINT or request_stop, then drains; returns when all is closed.

        From the signal on the process has the drain, the grace and 10 s more to end: then it ends
        with exit code 1, whatever hangs, and the log has what every thread was doing.
        """
        self.catch_signals()
        self._stop_asked.get()
        # The end waits for handlers, and a kubelet would kill without a word.
        latest = self._config.drain_seconds + self._config.grace_seconds + END_SECONDS
        if not self._stopped:  # who abandons ends sooner
            faulthandler.dump_traceback_later(latest, exit=True)
        self.stop()
        # A thread of ours in the middle of foreign code would not outlive the interpreter's end.
        self._ports.join()

    def stop(self, drain_seconds: float | None = None) -> None:
        """NOT_SERVING at once; serves on for the drain, then closes.

        The drain is the configured one unless given, and none where no call was ever taken. Running
        calls then have grace_seconds to finish; new ones are refused meanwhile.
        """
        if self._stopped:
            return
        self._stopped = True
        drain = self._config.drain_seconds if drain_seconds is None else drain_seconds
        drain = drain if self._takes_calls else 0.0
        self._health.enter_graceful_shutdown()
        log.info(
            "stopping",
            name=self._name,
            drain_seconds=drain,
            grace_seconds=self._config.grace_seconds,
        )
        self._wait_for_second_request(drain)
        self._ports.calls.stop(self._config.grace_seconds)
        if self._metrics is not None:
            self._metrics.stop()
        self._ports.admin.stop()
        if self._ports.probe is not None:
            self._ports.probe.stop()
        self._ports.close()
        if self._traces is not None:
            self._traces.close()
        log.info("stopped", name=self._name, abandoned_calls=self._ports.calls.pool.in_flight)

    def abandon(self) -> NoReturn:
        """For a process that can do no more work: NOT_SERVING at once, exit code 1 in a second.

        From any thread, whatever the others hang in. Until then the handlers still refuse what
        comes by their own reasons: gRPC's own, CANCELLED, says too little.
        """
        # Needs no GIL: should anything below hang, the traces of all threads say where.
        with suppress(RuntimeError):  # where no thread is left to be had, either
            faulthandler.dump_traceback_later(3 * _ABANDON_SECONDS, exit=True)
        self._stopped = True
        self._health.enter_graceful_shutdown()
        log.error("abandoned", name=self._name, abandoned_calls=self._ports.calls.pool.in_flight)
        time.sleep(_ABANDON_SECONDS)
        self._ports.calls.stop(_ABANDON_SECONDS)
        os._exit(1)

    def _wait_for_second_request(self, seconds: float) -> None:
        try:
            self._stop_asked.get(timeout=seconds)
        except queue.Empty:
            return


def _bind_metrics(address: str, registry: CollectorRegistry) -> MetricsServer:
    try:
        return serve_metrics(address, registry)
    except OSError as error:
        raise unbindable("metrics_address", address, error) from None
