"""One gRPC server on one address: what it carries, what stands around each call, what it bounds."""

import errno
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import grpc
from grpc_reflection.v1alpha import reflection  # type: ignore[import-untyped]

from lookalike_kit.admission import AdmissionPool
from lookalike_kit.config import ConfigError, host_and_port


@dataclass(frozen=True)
class Registration:
    """A service by its full name, and how it is added to a server.

    ready_made: methods that answer at once with what is there. They need no place among the calls
    that run, so that a full service still says that it is ready.
    """

    full_name: str
    register: Callable[[grpc.Server], None]
    ready_made: tuple[str, ...] = ()


class Port:
    """setting: the address's name in the configuration. described: whether reflection is on.

    Without credentials calls are in plain text.
    """

    def __init__(
        self,
        setting: str,
        pool: AdmissionPool,
        services: Sequence[Registration],
        interceptors: Sequence[grpc.ServerInterceptor],
        *,
        max_message_bytes: int,
        connection_age_seconds: float,
        longest_call_seconds: float,
        credentials: grpc.ServerCredentials | None = None,
        described: bool = False,
    ) -> None:
        self._setting = setting
        self._credentials = credentials
        self._server = grpc.server(
            pool,  # type: ignore[arg-type]
            interceptors=list(interceptors),
            options=_options(max_message_bytes, connection_age_seconds, longest_call_seconds),
        )
        self.pool = pool
        for service in services:
            service.register(self._server)
        if described:
            names = [service.full_name for service in services]
            reflection.enable_server_reflection([*names, reflection.SERVICE_NAME], self._server)

    def bind(self, address: str) -> str:
        """HOST:PORT with the port that was free. Raises ConfigError where it cannot be had."""
        try:
            _refuse_taken(address)
            if self._credentials is None:
                port = self._server.add_insecure_port(address)
            else:
                port = self._server.add_secure_port(address, self._credentials)
        except (OSError, RuntimeError) as error:
            raise unbindable(self._setting, address, error) from None
        return f"{address.rpartition(':')[0]}:{port}"

    def start(self) -> None:
        self._server.start()

    def stop(self, grace_seconds: float | None = None) -> None:
        """Refuses what comes; returns when what runs has ended, or was cut off after the grace."""
        self._server.stop(grace_seconds).wait()
        self.pool.close()


def unbindable(setting: str, address: str, error: Exception) -> ConfigError:
    """What is said of an address that cannot be had."""
    return ConfigError(
        f"{setting}: expected a free HOST:PORT of this machine, got {address} ({error})"
    )


def _refuse_taken(address: str) -> None:
    """Raises OSError. gRPC finds it out as well, but writes lines of its own into the log."""
    host, port = host_and_port(address)
    try:
        family, *_, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        socket.create_server(where[:2], family=family).close()
    except OSError as error:
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            raise


def _options(
    max_message_bytes: int, connection_age_seconds: float, longest_call_seconds: float
) -> list[tuple[str, int]]:
    return [
        # Under rapid resets a good client got 9 of 45 calls through without, 293 of 294 with.
        ("grpc.max_concurrent_streams", 100),
        # By default a server also refuses calls within that number while it is not yet done with
        # others that it has answered: of 10,000 calls, 500 at once over one connection, 1,436 ended
        # UNAVAILABLE; without, none.
        ("grpc.http.overload_protection", 0),
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_metadata_size", 8 * 1024),
        ("grpc.absolute_max_metadata_size", 16 * 1024),
        # A connection that does not get to its first call; gRPC would wait for two minutes.
        ("grpc.server_handshake_timeout_ms", 20_000),
        # Clients look names up again only when a connection ends; gRPC spreads the ages by 10 %.
        # What runs on it then may go on for the grace.
        ("grpc.max_connection_age_ms", round(1e3 * connection_age_seconds)),
        ("grpc.max_connection_age_grace_ms", round(1e3 * longest_call_seconds)),
        # Who froze, or whose machine is gone, leaves calls in the queue and answers in memory
        # until the connection ends: after 40 s by these, and not only by its age.
        ("grpc.keepalive_time_ms", 20_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.http2.ping_timeout_ms", 20_000),  # of pings that gRPC sends for reasons of its own
        ("grpc.keepalive_permit_without_calls", 1),
        # Pings are answered, however many: that takes 0.2 us. With strikes, gRPC's default, each
        # ping too many takes 1.4 us, no connection is closed as long as a flood goes on, and a good
        # client had no answer in the first three seconds of one.
        ("grpc.http2.max_ping_strikes", 0),
        # A connection with more to read than one look takes keeps the thread that reads, of which
        # gRPC has four on two cores: beside a flood of settings a good caller's p99 was 8 to 20
        # times that beside a sink, and 1.5 with this. A sender gets 64 KiB across in a round trip.
        ("grpc.tcp_receive_buffer_size", 64 * 1024),
        # Two processes that share a port would each get some of the calls.
        ("grpc.so_reuseport", 0),
    ]
