"""How a client knows its services and is known to them: TLS and a token, by files that change."""

import logging
import ssl
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Generic, TypeVar

import grpc

T = TypeVar("T")
FilePath = str | PathLike[str]
_Stamp = tuple[tuple[int, int, int], ...]

log = logging.getLogger("lookalike_client")


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """The files; "" for none. Each call looks whether they changed.

    tls_ca: authorities in PEM; with them calls go by TLS, and to services of theirs alone.
    tls_certificate, tls_key: the client's own, in PEM, for services that know callers by them.
    token_file: holds the token that goes with each call.
    """

    tls_ca: FilePath = ""
    tls_certificate: FilePath = ""
    tls_key: FilePath = ""
    token_file: FilePath = ""

    def __post_init__(self) -> None:
        if bool(self.tls_certificate) != bool(self.tls_key):
            raise ValueError("tls_key: expected tls_certificate with it, got one of them")
        if self.tls_certificate and not self.tls_ca:
            raise ValueError("tls_ca: expected authorities for TLS, got a certificate without any")

    def tls(self) -> "Reread[grpc.ChannelCredentials] | None":
        """What a channel is opened with; None for plain text. Raises ValueError."""
        files = [self.tls_ca, self.tls_certificate, self.tls_key]
        paths = [Path(file) for file in files if file]
        return Reread("tls", paths, _channel_credentials) if self.tls_ca else None

    def token(self) -> "Reread[str] | None":
        """What goes with each call. Raises ValueError."""
        return Reread("token_file", [Path(self.token_file)], _token) if self.token_file else None

    def expect_safe(self, *targets: str) -> None:
        """A token in plain text leaves this machine for nobody. Raises ValueError."""
        for target in targets if self.token_file and not self.tls_ca else ():
            if target and not _is_loopback(target):
                raise ValueError(
                    f"token_file: expected tls_ca with it, or services on loopback, got {target!r}"
                )


class Reread(Generic[T]):
    """The value of files that belong together; a version that is no good leaves the one before."""

    def __init__(
        self, name: str, paths: Sequence[Path], parse: Callable[[Sequence[Path]], T]
    ) -> None:
        self._name = name
        self._paths = paths
        self._parse = parse
        self._lock = threading.Lock()
        self._value = self._first()

    def current(self) -> T:
        """The same object as before unless the files have changed. Takes a stat of each."""
        if self._stamps() != self._stamp:
            with self._lock:
                self._read()
        return self._value

    def _first(self) -> T:
        while True:
            self._stamp = self._stamps()
            try:
                return self._parse(self._paths)
            except (OSError, ValueError) as error:
                if self._stamps() == self._stamp:  # and not a certificate with the next one's key
                    raise ValueError(
                        f"{self._name}: expected readable PEM or text, got {error}"
                    ) from None

    def _read(self) -> None:
        before = self._stamps()
        if before == self._stamp:  # another thread was here first
            return
        try:
            value = self._parse(self._paths)
        except (OSError, ValueError) as error:
            log.warning("%s: the files as they are now are not used: %s", self._name, error)
        else:
            if self._stamps() != before:  # of two versions, perhaps: the next call looks again
                return
            self._value = value
        self._stamp = before

    def _stamps(self) -> _Stamp:
        return tuple(map(_stamp, self._paths))


def _stamp(path: Path) -> tuple[int, int, int]:
    with suppress(OSError):
        found = path.stat()
        return found.st_ino, found.st_ctime_ns, found.st_size
    return 0, 0, 0


def _channel_credentials(paths: Sequence[Path]) -> grpc.ChannelCredentials:
    """gRPC takes what it is given, and says what was wrong with it by calls that fail."""
    authorities, *own = [path.read_bytes() for path in paths]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=authorities.decode())
    if own:
        context.load_cert_chain(paths[1], paths[2], password="")
    chain, key = own or (None, None)
    return grpc.ssl_channel_credentials(authorities, key, chain)


def _token(paths: Sequence[Path]) -> str:
    token = paths[0].read_text("ascii").strip()
    if not token.isprintable() or not token:
        raise ValueError("expected one line of text, got none or more")
    return token


def _is_loopback(target: str) -> bool:
    """Whether gRPC's target, as "ipv4:127.0.0.1:50061", is on this machine."""
    scheme, _, rest = target.rpartition("///")
    if target.startswith("unix"):
        return True
    addresses = rest.removeprefix("ipv4:").removeprefix("ipv6:").removeprefix("dns:").split(",")
    hosts = [address.rpartition(":")[0] for address in addresses]
    return scheme in ("", "dns:") and all(
        host in ("localhost", "[::1]") or host.startswith("127.") for host in hosts
    )
