"""Channels to single replicas, with the TLS and the token of LOOKALIKE_CLIENT_*."""

import os
from collections.abc import Callable
from typing import Any

import click
import grpc
from lookalike_client._credentials import Credentials
from lookalike_client._environment import Settings

# A replica that restarts is seen again at once: gRPC would wait up to two minutes.
_RECONNECT = [
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
]


def client_settings() -> Settings:
    """LOOKALIKE_CLIENT_*, for commands that have their own deadlines."""
    try:
        return Settings.read(os.environ)
    except ValueError as error:
        raise click.ClickException(str(error)) from error


def open_channel(address: str, name: str = "") -> grpc.Channel:
    """name: what the certificate is for where that is not the address's own host."""
    settings = client_settings()
    try:
        credentials = Credentials(
            tls_ca=settings.tls_ca,
            tls_certificate=settings.tls_certificate,
            tls_key=settings.tls_key,
            token_file=settings.token_file,
        )
        credentials.expect_safe(address)
        tls, token = credentials.tls(), credentials.token()
    except ValueError as error:
        raise click.ClickException(f"LOOKALIKE_CLIENT_*: {error}") from error
    named = [("grpc.ssl_target_name_override", name)] if name else []
    options = [*_RECONNECT, *named]
    channel = (
        grpc.secure_channel(address, tls.current(), options)
        if tls
        else grpc.insecure_channel(address, options)
    )
    return grpc.intercept_channel(channel, _Bearer(token.current())) if token else channel


class _Bearer(grpc.UnaryUnaryClientInterceptor):
    """Puts the token with each call."""

    def __init__(self, token: str) -> None:
        self._authorization = ("authorization", f"Bearer {token}")

    def intercept_unary_unary(
        self,
        continuation: Callable[[grpc.ClientCallDetails, Any], Any],
        client_call_details: grpc.ClientCallDetails,
        request: Any,
    ) -> Any:
        metadata = (*(client_call_details.metadata or ()), self._authorization)
        told = client_call_details._replace(metadata=metadata)  # type: ignore[attr-defined]
        return continuation(told, request)
