"""Traces, where they are wanted: what the services ask of them. Loads OpenTelemetry only then."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import grpc

from lookalike_kit.calls import Facts, Trace
from lookalike_kit.config import ConfigError
from lookalike_kit.server_config import ServerConfig


class Traces(Protocol):
    """Where the spans of one process come from; lookalike_kit.spans has one."""

    @property
    def interceptor(self) -> grpc.ServerInterceptor:
        """Gives each call a span. The outermost interceptor."""

    def work(self, name: str, seconds: float, calls: Iterable[Trace], facts: Facts) -> None:
        """A span of what ends now and was done for several calls at once: it links to each."""

    def close(self) -> None:
        """Sends what was not sent yet, for two seconds at most."""


def start(config: ServerConfig, service: str) -> Traces | None:
    """None where the configuration asks for none. Raises ConfigError where the extra is missing."""
    if not config.traces:
        return None
    try:
        from lookalike_kit.spans import exported_spans
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"traces: expected the extra otel (pip install '.[otel]' in a checkout), got no "
            f"{error.name}"
        ) from None
    return exported_spans(service)
