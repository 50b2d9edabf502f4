"""One channel to the replicas of one service: how it spreads calls, retries and reconnects."""

import threading
from collections.abc import Callable, Sequence
from importlib import resources
from typing import Generic, TypeVar

import grpc

from lookalike_client._credentials import Reread

Stub = TypeVar("Stub")

# Every legal answer fits the 4 MiB of gRPC's default; a later service may have larger ones.
MAX_RECEIVE_BYTES = 16 << 20

# A larger request is sent once and never retried; gRPC's default of 256 KiB is less than a photo.
RETRY_BUFFER_BYTES = 64 << 20


def service_config() -> str:
    """Retries, time limits and round_robin as JSON, for gRPC clients of any language."""
    return resources.files(__package__).joinpath("service_config.json").read_text("utf-8")


def open_channel(
    target: str,
    tls: grpc.ChannelCredentials | None = None,
    interceptors: Sequence[grpc.UnaryUnaryClientInterceptor] = (),
) -> grpc.Channel:
    """`target` as gRPC has it: "host:port", or "dns:///search:50061" for all pods of a name."""
    if tls is None:
        channel = grpc.insecure_channel(target, options=_options())
    else:
        channel = grpc.secure_channel(target, tls, options=_options())
    return grpc.intercept_channel(channel, *interceptors) if interceptors else channel


class Connection(Generic[Stub]):
    """A service's stub, on a channel that is opened anew when the credentials have changed."""

    def __init__(
        self,
        target: str,
        stub: Callable[[grpc.Channel], Stub],
        tls: Reread[grpc.ChannelCredentials] | None,
        interceptors: Sequence[grpc.UnaryUnaryClientInterceptor] = (),
    ) -> None:
        self._target = target
        self._stub_on = stub
        self._tls = tls
        self._interceptors = interceptors
        self._lock = threading.Lock()
        self._open(tls.current() if tls else None)

    def stub(self) -> Stub:
        """The stub to call now. What is in flight on another ends there."""
        wanted = self._tls.current() if self._tls else None
        if wanted is not self._used:
            with self._lock:
                if wanted is not self._used:
                    self._open(wanted)
        return self._stub

    def close(self) -> None:
        self._channel.close()

    def _open(self, tls: grpc.ChannelCredentials | None) -> None:
        # The channel before is not closed, which would end its calls, but forgotten: gRPC closes it
        # with the last of them.
        self._channel = open_channel(self._target, tls, self._interceptors)
        self._stub = self._stub_on(self._channel)
        self._used = tls


def _options() -> list[tuple[str, str | int]]:
    return [
        ("grpc.service_config", service_config()),
        ("grpc.primary_user_agent", "lookalike-client"),
        ("grpc.max_receive_message_length", MAX_RECEIVE_BYTES),
        ("grpc.per_rpc_retry_buffer_size", RETRY_BUFFER_BYTES),
        # A replica that froze, or whose machine vanished, is noticed 15 s after its last answer.
        # Under load the ping that is out is gRPC's own probe of the bandwidth, which without the
        # third of these has a minute. The services allow any number of pings.
        ("grpc.keepalive_time_ms", 10_000),
        ("grpc.keepalive_timeout_ms", 5_000),
        ("grpc.http2.ping_timeout_ms", 5_000),
        # A restarted replica is found again within 2 s; gRPC's own back-off grows to 120 s.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 1_000),
        ("grpc.max_reconnect_backoff_ms", 2_000),
        # A name is looked up again when a connection ends, within 2 s: by then every pod known may
        # have been replaced. When two pods were replaced quickly, 5 s failed 224 of 1,808 calls.
        ("grpc.dns_min_time_between_resolutions_ms", 2_000),
        # The services are neighbours in a private network: a proxy for the web is not on the way.
        ("grpc.enable_http_proxy", 0),
    ]
