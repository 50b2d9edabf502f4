"""The client's certificates and token, through real servers that ask for them."""

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from lookalike.search.v1 import search_pb2
from lookalike.search.v1.search_pb2_grpc import (
    SearchServiceServicer,
    add_SearchServiceServicer_to_server,
)
from lookalike_client import Client, LookalikeError, Unavailable
from lookalike_client._credentials import Reread

from lookalike_kit import tls
from tests.waiting import until


class Witness(SearchServiceServicer):
    """Answers, and remembers who asked."""

    def __init__(self) -> None:
        self.certificates: set[bytes] = set()
        self.tokens: set[str | None] = set()
        self.held = threading.Event()
        self.held.set()
        self.came = threading.Event()

    def ListIndexes(self, request, context):  # noqa: N802
        self.certificates.update(context.auth_context().get("x509_pem_cert", ()))
        self.tokens.add(dict(context.invocation_metadata()).get("authorization"))
        self.came.set()
        self.held.wait(20)
        return search_pb2.ListIndexesResponse()


@pytest.fixture
def witness() -> Witness:
    return Witness()


@pytest.fixture
def secured(witness, authority) -> Iterator[str]:
    """The address of a server that shows a certificate and wants one."""
    certificate, key = authority.sign("search", "localhost")
    configuration = tls.parse(certificate, key, authority.pem).configuration
    # Never anew: gRPC would free what another handshake uses (lookalike_kit.tls.Changes).
    credentials = grpc.dynamic_ssl_server_credentials(
        configuration, lambda: None, require_client_authentication=True
    )
    server = grpc.server(ThreadPoolExecutor(8))
    add_SearchServiceServicer_to_server(witness, server)
    port = server.add_secure_port("localhost:0", credentials)
    server.start()
    yield f"localhost:{port}"
    server.stop(None).wait()


@pytest.fixture
def plain(witness) -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(8))
    add_SearchServiceServicer_to_server(witness, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


def own(authority, **others):
    certificate, key = authority.sign("shop", "shop")
    return {"ca": authority.pem, "crt": certificate, "key": key, "token": b"first\n", **others}


def client_of(mounted, address, **options):
    return Client(
        search=address,
        tls_ca=mounted["ca"],
        tls_certificate=mounted["crt"],
        tls_key=mounted["key"],
        token_file=mounted["token"],
        deadline_seconds=20,
        **options,
    )


def test_a_client_shows_its_certificate_and_its_token(secured, witness, secret, authority):
    mounted = secret(**own(authority))

    with client_of(mounted, secured) as client:
        client.indexes()

    assert witness.certificates == {mounted["crt"].read_bytes()}
    assert witness.tokens == {"Bearer first"}


def test_a_service_of_another_authority_gets_no_call(secured, witness, secret, authority):
    mounted = secret(**own(authority, ca=type(authority)("another").pem))

    with client_of(mounted, secured) as client, pytest.raises(Unavailable):
        client.indexes()
    assert witness.tokens == set()


def test_certificates_and_tokens_change_under_load_without_a_failed_call(
    secured, witness, secret, authority
):
    mounted = secret(**own(authority))
    shown = [mounted["crt"].read_bytes()]
    outcomes: Counter[str] = Counter()
    done = threading.Event()

    def keep_calling(client: Client) -> None:
        while not done.is_set():
            try:
                client.indexes()
                outcomes["answered"] += 1
            except LookalikeError as error:
                outcomes[str(error)] += 1

    with client_of(mounted, secured) as client, ThreadPoolExecutor(4) as pool:
        for _ in range(4):
            pool.submit(keep_calling, client)
        for number in range(5):
            mounted.replace(**own(authority, token=b"token %d" % number))
            shown.append(mounted["crt"].read_bytes())
            until(lambda: witness.certificates == set(shown))
            until(lambda token=f"Bearer token {number}": token in witness.tokens)
        done.set()

    assert set(outcomes) == {"answered"}
    assert witness.tokens == {"Bearer first", *(f"Bearer token {n}" for n in range(5))}


def test_a_call_in_flight_ends_on_the_connection_that_it_began_on(
    secured, witness, secret, authority
):
    mounted = secret(**own(authority))
    with client_of(mounted, secured) as client, ThreadPoolExecutor(1) as pool:
        witness.held.clear()
        slow = pool.submit(client.indexes)
        assert witness.came.wait(20)
        mounted.replace(**own(authority))
        witness.held.set()
        client.indexes()

        assert slow.result() == []


@pytest.mark.parametrize("name", ["ca", "crt", "key", "token"])
def test_a_file_that_is_no_good_leaves_the_one_before(secured, secret, authority, name, caplog):
    good = own(authority)
    mounted = secret(**good)

    with client_of(mounted, secured) as client:
        client.indexes()
        mounted.replace(**{**good, name: b""})
        client.indexes()
        client.indexes()
        mounted.replace(**own(authority))
        client.indexes()

    [line] = caplog.messages
    assert "the files as they are now are not used" in line


@pytest.mark.parametrize("name", ["ca", "crt", "key", "token"])
def test_a_client_is_not_made_of_files_that_are_no_good(secret, authority, name):
    mounted = secret(**own(authority, **{name: b""}))

    with pytest.raises(ValueError, match="expected readable PEM or text, got"):
        client_of(mounted, "localhost:1")


def test_a_token_stays_on_this_machine_without_tls(plain, witness, secret):
    token = secret(token=b"mine")["token"]

    with Client(search=plain, token_file=token) as client:
        client.indexes()
    for target in ("dns:///search:50061", "10.0.0.7:50061", "ipv4:127.0.0.1:1,10.0.0.7:1"):
        with pytest.raises(ValueError, match=r"token_file: expected tls_ca with it"):
            Client(search=target, token_file=token)
    for target in ("ipv4:127.0.0.1:1,127.0.0.2:1", "dns:///localhost:1", "unix:/run/search"):
        Client(search=target, token_file=token).close()

    assert witness.tokens == {"Bearer mine"}


def test_half_of_a_pair_is_refused():
    with pytest.raises(ValueError, match="tls_key: expected tls_certificate with it"):
        Client(tls_ca="ca", tls_certificate="crt")
    with pytest.raises(ValueError, match="tls_ca: expected authorities for TLS"):
        Client(tls_certificate="crt", tls_key="key")


def test_the_environment_names_the_files(secured, witness, secret, authority):
    mounted = secret(**own(authority))
    environment = {
        "LOOKALIKE_CLIENT_SEARCH": secured,
        "LOOKALIKE_CLIENT_TLS_CA": str(mounted["ca"]),
        "LOOKALIKE_CLIENT_TLS_CERTIFICATE": str(mounted["crt"]),
        "LOOKALIKE_CLIENT_TLS_KEY": str(mounted["key"]),
        "LOOKALIKE_CLIENT_TOKEN_FILE": str(mounted["token"]),
        "LOOKALIKE_CLIENT_DEADLINE_SECONDS": "20",
    }

    with Client.from_environment(environment) as client:
        client.indexes()

    assert witness.tokens == {"Bearer first"}


def test_a_client_that_is_made_while_the_files_change_has_the_next_ones(secret, authority):
    certificate, key = authority.sign("shop", "shop")
    _, another = authority.sign("shop", "shop")
    mounted = secret(crt=certificate, key=another)

    def change_between(paths):
        if paths[1].read_bytes() == another:
            mounted.replace(crt=certificate, key=key)
            raise ValueError("a key of another certificate")
        return paths[1].read_bytes()

    assert Reread("tls", [mounted["crt"], mounted["key"]], change_between).current() == key
