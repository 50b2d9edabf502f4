"""What an SRE asks of any gRPC server, by the names of go-grpc-middleware, and /metrics itself."""

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from socketserver import TCPServer, ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import grpc
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, make_wsgi_app

from lookalike_kit import calls
from lookalike_kit.config import host_and_port
from lookalike_kit.interceptors import AnswerInterceptor, Behaviour, outcome

_METHOD = ("grpc_type", "grpc_service", "grpc_method")
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class RpcMetrics(AnswerInterceptor):
    """Counts and times calls. The outermost interceptor: what it says is what the caller got.

    Calls started and not handled are here still, or expired before they had a thread.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._started = Counter(
            "grpc_server_started_total", "Calls that arrived.", _METHOD, registry=registry
        )
        self._handled = Counter(
            "grpc_server_handled_total",
            "Calls that got a status.",
            (*_METHOD, "grpc_code"),
            registry=registry,
        )
        self._seconds = Histogram(
            "grpc_server_handling_seconds",
            "From a call's arrival to its status, waiting for a thread included.",
            _METHOD,
            buckets=_SECONDS,
            registry=registry,
        )

        self._methods: dict[str, _Method] = {}

    def around(self, call: grpc.HandlerCallDetails, behaviour: Behaviour) -> Behaviour:
        arrived = time.perf_counter()
        method = self._method(call.method)
        method.started.inc()

        def measured(request: Any, context: grpc.ServicerContext) -> Any:
            try:
                return behaviour(request, context)
            finally:
                method.handled(outcome(context)).inc()
                method.seconds.observe(time.perf_counter() - arrived, calls.exemplar())

        return measured

    def _method(self, name: str) -> "_Method":
        # Finding a metric by its labels takes 2 us, three times a call. Only methods that exist
        # come here, so there are few.
        if found := self._methods.get(name):
            return found
        labels = ("unary", *name.lstrip("/").split("/", 1))
        started, seconds = self._started.labels(*labels), self._seconds.labels(*labels)
        made = _Method(started, seconds, lambda code: self._handled.labels(*labels, go_name(code)))
        # A counter that appears as it is counted up shows no increase: the first errors are those
        # that one waits for.
        for code in grpc.StatusCode:
            made.handled(code)
        self._methods[name] = made
        return made


class _Method:
    """The metrics of one method."""

    def __init__(
        self, started: Counter, seconds: Histogram, find: Callable[[grpc.StatusCode], Counter]
    ) -> None:
        self.started = started
        self.seconds = seconds
        self.handled = cache(find)


class AdmissionMetrics:
    """How calls get their places."""

    def __init__(self, registry: CollectorRegistry) -> None:
        wait = Histogram(
            "lookalike_admission_wait_seconds",
            "How long a call waited for a thread and for its place among those that run.",
            buckets=_SECONDS,
            registry=registry,
        )
        refused = Counter(
            "lookalike_admission_refused_total",
            "Calls refused because as many as allowed ran or waited.",
            registry=registry,
        )
        cut_off = Counter(
            "lookalike_admission_cut_off_total",
            "Calls cancelled because the messages of too many were still on their way.",
            registry=registry,
        )
        over_cap = Counter(
            "lookalike_admission_over_cap_total",
            "Calls refused because their caller had as many as one may have.",
            registry=registry,
        )
        self._in_flight = Gauge(
            "lookalike_in_flight_calls", "Calls that run or wait for a place.", registry=registry
        )
        self._reading = Gauge(
            "lookalike_reading_calls", "Calls whose message is on its way.", registry=registry
        )
        self.waited = wait.observe
        self.refused = refused.inc
        self.cut_off = cut_off.inc
        self.over_cap = over_cap.inc

    def follow(self, in_flight: Callable[[], float], reading: Callable[[], float]) -> None:
        """Where to read the numbers of calls from."""
        self._in_flight.set_function(in_flight)
        self._reading.set_function(reading)


class ReloadMetrics:
    """Files that are read again when they change."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._reloads = Counter(
            "lookalike_reloads_total",
            "New versions of a file: loaded, or refused, so that the one before stays in use.",
            ("what", "result"),
            registry=registry,
        )
        self._registry = registry

    def reloaded(self, what: str, result: str) -> None:
        """result: loaded or refused."""
        self._reloads.labels(what, result).inc()

    def follow_certificate(self, ends: Callable[[], float]) -> None:
        """Where to read from when the certificate in use ends."""
        Gauge(
            "lookalike_certificate_end_timestamp_seconds",
            "When the first of the server's certificate and its clients' authorities ends.",
            registry=self._registry,
        ).set_function(ends)


class _Http(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], quiet: type[WSGIRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, quiet)

    def server_bind(self) -> None:
        # The standard library's own asks for the host's name, which may take a resolver's seconds.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]
        self.setup_environ()

    def handle_error(self, *_: Any) -> None:
        """A scraper that went away is no event either; the standard library prints a traceback."""


class _Quiet(WSGIRequestHandler):
    timeout = 10.0  # a connection that asks for nothing would keep its thread for ever

    def log_message(self, *_: Any) -> None:
        """A scrape is no event."""


@dataclass(frozen=True)
class MetricsServer:
    """/metrics over HTTP, on threads of its own."""

    address: str
    _http: WSGIServer
    _thread: threading.Thread

    def stop(self) -> None:
        """Closes the port."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


def serve_metrics(address: str, registry: CollectorRegistry) -> MetricsServer:
    """Serves `registry` at HOST:PORT; port 0 takes a free one. Raises OSError if it cannot bind."""
    host, port = host_and_port(address)
    http = _Http((host, port), _Quiet)
    http.set_app(make_wsgi_app(registry))
    # A stop waits for as long as a poll: 0.1 s, not the 0.5 s it would be.
    thread = threading.Thread(target=http.serve_forever, args=(0.1,), name="metrics", daemon=True)
    thread.start()
    bound = f"{address.rpartition(':')[0]}:{http.server_port}"
    return MetricsServer(bound, http, thread)


def go_name(code: grpc.StatusCode) -> str:
    """INVALID_ARGUMENT as Go prints it, InvalidArgument, so that dashboards made for Go fit."""
    if code is grpc.StatusCode.OK:
        return "OK"
    if code is grpc.StatusCode.CANCELLED:
        return "Canceled"
    return code.name.title().replace("_", "")
