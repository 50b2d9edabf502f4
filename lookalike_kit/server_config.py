"""What every service is told: where it listens, whom it serves, how much it takes."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lookalike_kit import logs
from lookalike_kit.config import ConfigError, is_loopback, setting

MiB = 1 << 20


@dataclass(frozen=True, kw_only=True)
class ServerConfig:
    """The settings that all services have; a service's own configuration extends it."""

    address: str = setting("127.0.0.1:50051", doc="Where calls are taken. Port 0: any free one.")
    admin_address: str = setting("127.0.0.1:50052", doc="Where health and admin calls are taken.")
    metrics_address: str = setting("127.0.0.1:9151", doc="Where /metrics is served over HTTP.")
    probe_address: str | None = setting(
        None,
        doc="Where health is served in plain text, and nothing else is: for probes that know no "
        "TLS. Empty: on ADMIN_ADDRESS alone.",
    )
    insecure: bool = setting(
        False,
        doc="Whether calls may be in plain text on other addresses than loopback. Without it a "
        "service that has no certificate does not start there.",
    )
    tls_certificate: Path | None = setting(
        None,
        doc="The server's certificate chain in PEM, for ADDRESS and ADMIN_ADDRESS. It, its key and "
        "TLS_CLIENT_CA are read again when they change; connections that exist keep theirs.",
    )
    tls_key: Path | None = setting(None, doc="The certificate's key in PEM.")
    tls_client_ca: Path | None = setting(
        None,
        doc="Authorities in PEM: a client without a certificate of theirs gets no connection. "
        "Callers are known by the first name of their certificates, unless by TOKENS.",
    )
    tokens: Path | None = setting(
        None,
        doc="Callers are known by tokens: each line of this file has a caller's name and the "
        "SHA-256 of a token in hex. Calls without a known token are refused, but for health. Read "
        "again when it changes.",
    )
    admin_callers: tuple[str, ...] = setting(
        (),
        doc="The callers that may make admin calls. Where no callers are known, whoever reaches "
        "ADMIN_ADDRESS may.",
    )
    max_calls_each: int | None = setting(
        None,
        minimum=1,
        doc="Calls that one caller may have in flight; more are refused. Empty: no limit. Whatever "
        "it is, a place that falls free goes to the caller with the fewest.",
    )
    threads: int = setting(16, minimum=1, maximum=1024, doc="Calls that run at once.")
    max_waiting: int = setting(
        64, minimum=0, maximum=100_000, doc="Calls that wait to run; more are refused."
    )
    max_message_bytes: int = setting(
        4 * MiB, minimum=1024, maximum=512 * MiB, doc="The largest request taken, in bytes."
    )
    connection_age_seconds: float = setting(
        60.0,
        minimum=1,
        maximum=86_400,
        doc="After so long, give or take a tenth, a connection is ended in order and its client "
        "makes another: only then does it look the name up again and find new replicas.",
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
    log_calls_every: int = setting(
        100,
        minimum=0,
        maximum=1_000_000,
        doc="One of so many calls has a line in the log, chosen by its request id, so that both "
        "services choose the same ones; 1: all, 0: none. Slow and failed ones have theirs anyway, "
        "up to ten a second. `lookalike explain` reads them.",
    )
    log_slow_seconds: float = setting(
        1.0, minimum=0, maximum=3600, doc="A call that took longer than this is slow."
    )

    traces: bool = setting(
        False,
        doc="Whether calls are traced by OpenTelemetry (extra otel). OTEL_EXPORTER_OTLP_ENDPOINT "
        "says where to, OTEL_TRACES_SAMPLER which of them; a caller's traceparent is followed.",
    )

    def __post_init__(self) -> None:
        if problems := [*_tls_problems(self), *_caller_problems(self)]:
            raise ConfigError(*problems)

    @property
    def knows_callers(self) -> bool:
        """Whether every call has a caller's name."""
        return self.tokens is not None or self.tls_client_ca is not None


def _tls_problems(config: ServerConfig) -> Iterator[str]:
    if (config.tls_certificate is None) != (config.tls_key is None):
        yield "tls_key: expected TLS_CERTIFICATE and TLS_KEY, got one without the other"
    elif config.tls_certificate is None:
        if config.tls_client_ca is not None:
            yield "tls_client_ca: expected TLS_CERTIFICATE and TLS_KEY with it, got neither"
        if not config.insecure:
            yield from _exposed(config)


def _exposed(config: ServerConfig) -> Iterator[str]:
    """Addresses where others could read along, tokens included."""
    for name in ("address", "admin_address"):
        address: str = getattr(config, name)
        if not is_loopback(address):
            yield (
                f"{name}: expected a loopback address, or TLS_CERTIFICATE and TLS_KEY, or "
                f"INSECURE=true for calls in plain text, got {address!r}"
            )


def _caller_problems(config: ServerConfig) -> Iterator[str]:
    if config.knows_callers:
        return
    for name in ("admin_callers", "max_calls_each"):
        if getattr(config, name):
            yield f"{name}: expected TOKENS or TLS_CLIENT_CA, to know callers by, got neither"
