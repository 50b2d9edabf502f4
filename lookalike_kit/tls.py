"""TLS for a server, with certificates that change while it serves.

A connection gets the certificate that is there when it begins; those that exist keep theirs until
they end, which the server's max_connection_age sees to.
"""

import threading
from dataclasses import dataclass

import grpc
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from lookalike_kit.reloading import Reloading


@dataclass(frozen=True)
class Certificates:
    """A server's certificate with its key, and the authorities of its clients' certificates.

    ends: when the first of them does, the server's or an authority's, in seconds since 1970.
    """

    chain: bytes
    key: bytes
    client_ca: bytes | None
    ends: float

    @property
    def configuration(self) -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration([(self.key, self.chain)], self.client_ca)


def parse(chain: bytes, key: bytes, client_ca: bytes | None = None) -> Certificates:
    """Raises ValueError unless all of it is PEM and the key is the certificate's."""
    certificates = _certificates("certificate", chain)
    if _public(certificates[0]) != _public_of_key(key):
        raise ValueError("key: expected the key of the certificate, got another's")
    authorities = _certificates("client_ca", client_ca) if client_ca is not None else []
    ends = min(each.not_valid_after_utc for each in [certificates[0], *authorities])
    return Certificates(chain, key, client_ca, ends.timestamp())


def credentials(certificates: Reloading[Certificates]) -> grpc.ServerCredentials:
    """One port's: each hears of a change once.

    With client authorities a client without a certificate of theirs gets no connection.
    """
    current = certificates.current()
    return grpc.dynamic_ssl_server_credentials(
        current.configuration,
        Changes(certificates, current),  # type: ignore[arg-type]  # the stubs do not know of None
        require_client_authentication=current.client_ca is not None,
    )


class Changes:
    """What gRPC asks at each handshake: another version's configuration, once; None: no change.

    It has to be None. gRPC builds anew what it is given, and frees the old, which another handshake
    may be using (grpc/grpc#36693): a process that answered each with the same certificate ended by
    SIGSEGV in one of ten runs with many new connections.
    """

    def __init__(self, certificates: Reloading[Certificates], given: Certificates) -> None:
        self._certificates = certificates
        self._lock = threading.Lock()
        self._given = given  # what gRPC has already

    def __call__(self) -> grpc.ServerCertificateConfiguration | None:
        current = self._certificates.current()
        with self._lock:
            if current is self._given:
                return None
            self._given = current
        return current.configuration


def _certificates(name: str, pem: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise ValueError(f"{name}: expected certificates in PEM, got something else") from None


def _public_of_key(pem: bytes) -> bytes:
    try:
        key = load_pem_private_key(pem, password=None)
    except (TypeError, ValueError, UnsupportedAlgorithm):
        raise ValueError("key: expected a private key in PEM without a password") from None
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _public(certificate: x509.Certificate) -> bytes:
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
