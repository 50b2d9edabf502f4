"""An authority that signs certificates, and files that change as Kubernetes changes a Secret's."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


class Authority:
    """Signs certificates, as those who run a service have one do it."""

    def __init__(self, name: str = "an authority") -> None:
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.pem = self._certificate(self._name, self._key.public_key(), [], is_authority=True)

    def sign(self, name: str, *dns_names: str, days: int = 30) -> tuple[bytes, bytes]:
        """A new certificate and its key, in PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._certificate(subject, key.public_key(), dns_names, days=days)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return certificate, pem

    def _certificate(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey,
        dns_names: Sequence[str],
        *,
        is_authority: bool = False,
        days: int = 30,
    ) -> bytes:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder(self._name, subject, key, x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
        )
        if dns_names:
            names = x509.SubjectAlternativeName([x509.DNSName(name) for name in dns_names])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)


class Secret:
    """A folder as Kubernetes mounts a Secret: every file is a link, and all change at once."""

    def __init__(self, folder: Path, **files: bytes) -> None:
        self.folder = folder
        self._versions = 0
        self.replace(**files)
        for name in files:
            (folder / name).symlink_to(Path("..data", name))

    def __getitem__(self, name: str) -> Path:
        return self.folder / name

    def replace(self, **files: bytes) -> None:
        self._versions += 1
        version = self.folder / f"..version-{self._versions}"
        version.mkdir(parents=True)
        for name, content in files.items():
            (version / name).write_bytes(content)
        link = self.folder / "..data_tmp"
        link.symlink_to(version.name)
        link.rename(self.folder / "..data")
