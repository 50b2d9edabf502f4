"""The command and replicas that want TLS, a certificate and a token."""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from lookalike_cli import processes

pytest.importorskip("annoy")


@pytest.fixture(scope="module")
def files(tmp_path_factory, authority) -> dict[str, Path]:
    """What the service and a caller called ops have."""
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = authority.sign("search", "localhost")
    own, its_key = authority.sign("ops", "ops")
    digests = {name: sha256(f"{name}'s".encode()).hexdigest() for name in ("ops", "shop")}
    contents = {
        "ca": authority.pem,
        "certificate": certificate,
        "key": key,
        "own": own,
        "own_key": its_key,
        **{name: f"{name}'s".encode() for name in digests},
        "tokens": "".join(f"{name} {digest}\n" for name, digest in digests.items()).encode(),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return {name: folder / name for name in contents}


@pytest.fixture(scope="module")
def replica(tmp_path_factory, files) -> Iterator[processes.Running]:
    folder: Path = tmp_path_factory.mktemp("search")
    (folder / "store").mkdir()
    settings = {
        "tls_certificate": files["certificate"],
        "tls_key": files["key"],
        "tls_client_ca": files["ca"],
        "tokens": files["tokens"],
        "admin_callers": "ops",
    }
    with processes.search(folder / "store", folder / "cache", **settings) as running:
        yield running


@pytest.fixture
def named(replica) -> str:
    """Its ports, by the name that its certificate is for."""
    ports = (replica.address, replica.admin_address, replica.metrics_address)
    return ",".join(port.replace("127.0.0.1", "localhost") for port in ports)


@pytest.fixture
def as_caller(monkeypatch, files):
    def become(name: str) -> None:
        monkeypatch.setenv("LOOKALIKE_CLIENT_TLS_CA", str(files["ca"]))
        monkeypatch.setenv("LOOKALIKE_CLIENT_TLS_CERTIFICATE", str(files["own"]))
        monkeypatch.setenv("LOOKALIKE_CLIENT_TLS_KEY", str(files["own_key"]))
        monkeypatch.setenv("LOOKALIKE_CLIENT_TOKEN_FILE", str(files[name]))

    return become


def test_who_may_sees_the_replica(lookalike_command, named, as_caller):
    as_caller("ops")

    result = lookalike_command("status", "--search", named, "--seconds", 0.1)

    assert result.exit_code == 0, result.output


def test_who_may_not_is_told_so(lookalike_command, named, as_caller):
    as_caller("shop")

    result = lookalike_command("status", "--search", named, "--seconds", 0.1)

    assert result.exit_code == 1
    assert "PERMISSION_DENIED: caller: expected one of ADMIN_CALLERS, got shop" in result.output


def test_addresses_of_a_name_are_asked_for_its_certificate(lookalike_command, named, as_caller):
    as_caller("ops")
    address, admin, _ = named.split(",")

    result = lookalike_command("index", "unpin", "dresses", "--replicas", f"{address},{admin}")

    assert result.exit_code == 0, result.output
    assert "127.0.0.1" in result.output
    assert "dresses follows CURRENT" in result.output


def test_without_tls_nobody_answers(lookalike_command, named):
    result = lookalike_command("status", "--search", named, "--seconds", 0.1)

    assert result.exit_code == 1
    assert "UNAVAILABLE" in result.output


def test_a_file_that_is_not_there_is_told(lookalike_command, named, as_caller, monkeypatch):
    as_caller("ops")
    monkeypatch.setenv("LOOKALIKE_CLIENT_TLS_CA", "/nowhere/ca.pem")

    result = lookalike_command("status", "--search", named)

    assert result.exit_code == 1
    assert "tls: expected readable PEM or text, got" in result.output
    assert "Traceback" not in result.output
