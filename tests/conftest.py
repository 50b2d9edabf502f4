"""For every test, before anything imports numpy."""

import io
import itertools
import json
import logging
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from lookalike_kit.logs import JsonLines

# The tests' matrices are small and their processes many: a thread for each core in each of them
# made the search tier's tests half as slow again. Children inherit it.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """`-m "not torch"` leaves whole files of torch's alone: importing it takes ten seconds."""
    if config.option.markexpr != "not torch" or collection_path.suffix != ".py":
        return None
    return "pytestmark = pytest.mark.torch" in collection_path.read_text() or None


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

    def _certificate(self, subject, key, dns_names, *, is_authority=False, days=30) -> bytes:
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


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def secret(tmp_path) -> Callable[..., Secret]:
    """secret(crt=..., key=...): a mounted Secret, whose files are at its names."""
    numbers = itertools.count()
    return lambda **files: Secret(tmp_path / f"secret-{next(numbers)}", **files)


@pytest.fixture
def lines() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """What the kit logs of calls, from debug up."""
    text = io.StringIO()
    writer = logging.StreamHandler(text)
    writer.setFormatter(JsonLines("test"))
    loggers = [logging.getLogger(f"lookalike_kit.{name}") for name in ("interceptors", "call_log")]
    for logger in loggers:
        logger.addHandler(writer)
        logger.setLevel(logging.DEBUG)
    yield lambda: [json.loads(line) for line in text.getvalue().splitlines()]
    for logger in loggers:
        logger.removeHandler(writer)
        logger.setLevel(logging.NOTSET)
