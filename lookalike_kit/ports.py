"""The gRPC ports of one process: calls, admin and health, and health alone for plain probes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import grpc
from grpc_health.v1 import health, health_pb2_grpc  # type: ignore[import-untyped]
from prometheus_client import CollectorRegistry

from lookalike_kit import tls
from lookalike_kit.admission import AdmissionInterceptor, AdmissionPool, Unobserved
from lookalike_kit.call_log import CallLog
from lookalike_kit.callers import Callers, parse_tokens
from lookalike_kit.config import ConfigError
from lookalike_kit.interceptors import StatusInterceptor
from lookalike_kit.metrics import AdmissionMetrics, ReloadMetrics, RpcMetrics
from lookalike_kit.port import Port, Registration
from lookalike_kit.refusals import Refuser
from lookalike_kit.reloading import Reloading
from lookalike_kit.server_config import ServerConfig
from lookalike_kit.traces import Traces

HEALTH = "grpc.health.v1.Health"
# Calls of those who run the service are few, but some take minutes.
_ADMIN_RUNNING, _ADMIN_WAITING = 2, 64
# Before a connection that has reached its age is cut off: the longest time limit in the client's
# service_config.json, and more than a generation takes to be fetched, checked and warmed.
_CALL_SECONDS, _ADMIN_CALL_SECONDS = 120.0, 3_600.0


class Ports:
    """calls, admin, and probe, which is None where health on the admin port is enough.

    Raises ConfigError for files of the configuration that are not what they should be.
    """

    def __init__(
        self,
        config: ServerConfig,
        registry: CollectorRegistry,
        services: Sequence[Registration],
        admin_services: Sequence[Registration],
        servicer: health.HealthServicer,
        traces: Traces | None = None,
    ) -> None:
        self._config = config
        self._refuser = Refuser()
        call_log = CallLog(config.log_calls_every, config.log_slow_seconds)
        self._around = (RpcMetrics(registry), StatusInterceptor(call_log))
        reloads = ReloadMetrics(registry)
        credentials = _credentials(config, reloads)  # each port has its own
        known = _known_callers(config, reloads, self._refuser)
        of_health = Registration(
            HEALTH, lambda server: health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
        )

        admission = AdmissionMetrics(registry)
        pool = AdmissionPool(config.threads, config.max_waiting, admission)
        admission.follow(lambda: pool.in_flight, lambda: pool.reading)
        capped = known(admission.over_cap, max_calls_each=config.max_calls_each)
        spans = () if traces is None else (traces.interceptor,)
        self.calls = self._port("address", pool, services, capped, credentials(), spans)

        admin_pool = AdmissionPool(_ADMIN_RUNNING, _ADMIN_WAITING, Unobserved())
        allowed = known(admission.over_cap, allowed=config.admin_callers, exempt=HEALTH)
        everything = (of_health, *admin_services)
        self.admin = self._port(
            "admin_address",
            admin_pool,
            everything,
            allowed,
            credentials(),
            longest_call_seconds=_ADMIN_CALL_SECONDS,
        )

        self.probe = None
        if config.probe_address is not None:
            probe_pool = AdmissionPool(1, 0, Unobserved())
            self.probe = self._port("probe_address", probe_pool, (of_health,), (), None)

    def close(self) -> None:
        """Ends the thread that all ports share."""
        self._refuser.close()

    def join(self) -> None:
        """After each port's `stop`: until no handler runs."""
        for port in filter(None, (self.calls, self.admin, self.probe)):
            port.pool.join()

    def _port(
        self,
        setting: str,
        pool: AdmissionPool,
        services: Sequence[Registration],
        known: Sequence[Callers],
        credentials: grpc.ServerCredentials | None,
        outermost: Sequence[grpc.ServerInterceptor] = (),
        longest_call_seconds: float = _CALL_SECONDS,
    ) -> Port:
        ready_made = [f"/{each.full_name}/{name}" for each in services for name in each.ready_made]
        unbounded = (f"/{HEALTH}/", *ready_made)
        admitting = AdmissionInterceptor(pool, self._refuser, unbounded)
        return Port(
            setting,
            pool,
            services,
            (*outermost, *self._around, *known, admitting),
            max_message_bytes=self._config.max_message_bytes,
            connection_age_seconds=self._config.connection_age_seconds,
            longest_call_seconds=longest_call_seconds,
            credentials=credentials,
            described=self._config.reflection,
        )


def _credentials(
    config: ServerConfig, reloads: ReloadMetrics
) -> Callable[[], grpc.ServerCredentials | None]:
    """Makes a port's; None where calls are in plain text."""
    if config.tls_certificate is None or config.tls_key is None:
        return lambda: None
    paths = [config.tls_certificate, config.tls_key]
    if config.tls_client_ca is not None:
        paths.append(config.tls_client_ca)
    with _expecting("tls_certificate"):
        certificates = Reloading("certificate", paths, tls.parse, reloads.reloaded)
    reloads.follow_certificate(lambda: certificates.current().ends)
    return partial(tls.credentials, certificates)


def _known_callers(
    config: ServerConfig, reloads: ReloadMetrics, refuser: Refuser
) -> Callable[..., Sequence[Callers]]:
    """What a port puts around its calls to know the callers: nothing where none are known."""
    tokens = None
    if config.tokens is not None:
        with _expecting("tokens"):
            tokens = Reloading("tokens", [config.tokens], parse_tokens, reloads.reloaded)
    if not config.knows_callers:
        return lambda *_, **__: ()
    return lambda count_over_cap, **rules: (Callers(refuser, tokens, count_over_cap, **rules),)


@contextmanager
def _expecting(setting: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        raise ConfigError(f"{setting}: {error}") from None
