"""The client's settings as environment variables."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

PREFIX = "LOOKALIKE_CLIENT_"


def _setting(default: str | float | bool, doc: str) -> Any:
    return field(default=default, metadata={"doc": doc})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What `Client.from_environment` reads; docs/configuration.md is made from it."""

    embedder: str = _setting(
        "", "Where the embedder is: host:port, or dns:///name:port for all its addresses."
    )
    search: str = _setting("", "Where the search service is, in the same form.")
    deadline_seconds: float = _setting(2.0, "How long a call may take, its retries included.")
    bulk_deadline_seconds: float = _setting(60.0, "How long a bulk call may take.")

    tls_ca: str = _setting(
        "",
        "Authorities in PEM. With them calls go by TLS, to services with a certificate of theirs.",
    )
    tls_certificate: str = _setting(
        "", "The client's own certificate in PEM, for services that know callers by it."
    )
    tls_key: str = _setting("", "The key of that certificate, in PEM.")
    token_file: str = _setting(
        "", "A file with the token that goes with each call. Not without TLS, but on loopback."
    )
    traces: bool = _setting(
        False, "Whether each call is a span of the application's OpenTelemetry (extra otel)."
    )

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Self:
        """Raises ValueError for a name or a value that cannot be meant."""
        known = {PREFIX + field.name.upper(): field for field in fields(cls)}
        given = {name: text for name, text in environment.items() if name.startswith(PREFIX)}
        for name in given:
            if name not in known:
                raise ValueError(f"{name}: expected one of {', '.join(known)}")
        values: dict[str, Any] = {
            known[name].name: _READERS[known[name].type](name, text) for name, text in given.items()
        }
        return cls(**values)


def _seconds(name: str, text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise ValueError(f"{name}: expected a number of seconds above 0, got {text!r}")
    return seconds


def _switch(name: str, text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(f"{name}: expected true or false, got {text!r}")
    return text.lower() == "true"


_READERS: Mapping[Any, Callable[[str, str], Any]] = {
    float: _seconds,
    bool: _switch,
    str: lambda _, text: text,
}
