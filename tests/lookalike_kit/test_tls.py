"""Certificates through real servers: required, reloaded under load, refused."""

import itertools
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import grpc
import pytest
from cryptography import x509
from google.protobuf.wrappers_pb2 import StringValue
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import CollectorRegistry

from lookalike_kit import calls, tls
from lookalike_kit.config import ConfigError
from lookalike_kit.reloading import Reloading
from lookalike_kit.server import Server
from lookalike_kit.server_config import ServerConfig
from tests.waiting import until

END = "lookalike_certificate_end_timestamp_seconds"
SERVING = health_pb2.HealthCheckResponse.SERVING
connections = itertools.count()


def echo(request: StringValue, _: grpc.ServicerContext) -> StringValue:
    return request


def whoever(_: StringValue, __: grpc.ServicerContext) -> StringValue:
    return StringValue(value=calls.caller())


def pair(authority, name="localhost", *, days=30):
    certificate, key = authority.sign("the echo", name, days=days)
    return {"crt": certificate, "key": key}


def settings(mounted):
    return {"tls_certificate": mounted["crt"], "tls_key": mounted["key"]}


def connected(address, ca, **own):
    """A channel with a connection of its own. own: private_key, certificate_chain."""
    return grpc.secure_channel(
        address.replace("127.0.0.1", "localhost"),
        grpc.ssl_channel_credentials(ca, **own),
        [("test.connection", next(connections))],
    )


def say(channel, value=""):
    call = channel.unary_unary(
        "/test.v1.EchoService/Say",
        request_serializer=StringValue.SerializeToString,
        response_deserializer=StringValue.FromString,
    )
    return call(StringValue(value=value), timeout=20).value


def health(channel):
    request = health_pb2.HealthCheckRequest()
    return health_pb2_grpc.HealthStub(channel).Check(request, timeout=20).status


def is_refused(attempt):
    with pytest.raises(grpc.RpcError) as error:
        attempt()
    return error.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.fixture
def mounted(secret, authority):
    return secret(**pair(authority))


def test_both_ports_speak_tls_and_nothing_else(serve, mounted, authority):
    served = serve(echo, **settings(mounted))

    with connected(served.addresses.address, authority.pem) as channel:
        assert say(channel, "hello") == "hello"
    with connected(served.addresses.admin_address, authority.pem) as channel:
        assert health(channel) == SERVING
    assert is_refused(lambda: say(served.channel))
    assert is_refused(lambda: health(served.admin))


def test_health_is_in_plain_text_where_probes_ask_and_nothing_else_is(serve, mounted):
    served = serve(echo, probe_address="127.0.0.1:0", **settings(mounted))

    with grpc.insecure_channel(served.addresses.probe_address) as probe:
        assert health(probe) == SERVING
        with pytest.raises(grpc.RpcError) as error:
            say(probe)
    assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_client_without_a_certificate_gets_no_connection(serve, secret, authority):
    mounted = secret(ca=authority.pem, **pair(authority))
    served = serve(whoever, tls_client_ca=mounted["ca"], **settings(mounted))
    certificate, key = authority.sign("by name", "shop", "another")
    nameless, its_key = authority.sign("by name")

    with connected(served.addresses.address, authority.pem) as channel:
        assert is_refused(lambda: say(channel))
    for own, name in (((key, certificate), "shop"), ((its_key, nameless), "by name")):
        with connected(
            served.addresses.address, authority.pem, private_key=own[0], certificate_chain=own[1]
        ) as channel:
            assert say(channel) == name


def test_certificates_change_under_load_without_a_failed_call(serve, secret, authority):
    mounted = secret(**pair(authority))
    served = serve(echo, threads=8, **settings(mounted))
    loaded = partial(served.metric, "lookalike_reloads_total", what="certificate", result="loaded")
    done = threading.Event()
    outcomes: Counter[str] = Counter()

    def keep_calling(is_new_each_time: bool) -> None:
        channel = connected(served.addresses.address, authority.pem)
        while not done.is_set():
            if is_new_each_time:
                channel.close()
                channel = connected(served.addresses.address, authority.pem)
            try:
                outcomes[say(channel, "hello")] += 1
            except grpc.RpcError as error:
                outcomes[str(error)] += 1
        channel.close()

    with ThreadPoolExecutor(4) as pool:
        for number in range(4):
            pool.submit(keep_calling, number % 2 == 0)
        for count in range(1, 6):
            before = outcomes["hello"]
            mounted.replace(**pair(authority))
            until(lambda: loaded() >= count)  # noqa: B023
            until(lambda: outcomes["hello"] > before or len(outcomes) > 1)  # noqa: B023
        done.set()

    assert set(outcomes) == {"hello"}


def test_grpc_is_handed_each_version_once(authority, tmp_path):
    files = {name: tmp_path / name for name in ("crt", "key")}

    def write():
        for name, content in pair(authority).items():
            files[name].write_bytes(content)

    write()
    certificates = Reloading("certificate", [*files.values()], tls.parse, lambda *_: None)
    changes = tls.Changes(certificates, certificates.current())
    assert changes() is None

    write()
    assert changes() is not None
    assert changes() is None


def test_a_key_of_another_certificate_leaves_the_pair_before(serve, mounted, authority):
    served = serve(echo, **settings(mounted))
    before = served.metric(END)

    mounted.replace(crt=pair(authority, days=90)["crt"], key=pair(authority)["key"])

    with connected(served.addresses.address, authority.pem) as channel:
        assert say(channel, "hello") == "hello"
    assert served.metric("lookalike_reloads_total", what="certificate", result="refused") == 1
    assert served.metric(END) == before


def test_the_metric_says_when_the_first_certificate_ends(serve, secret, authority):
    first, later = pair(authority, days=10), pair(authority, days=20)
    mounted = secret(ca=authority.pem, **first)
    served = serve(echo, tls_client_ca=mounted["ca"], **settings(mounted))
    ends = x509.load_pem_x509_certificate(first["crt"]).not_valid_after_utc.timestamp()
    assert served.metric(END) == ends

    mounted.replace(ca=authority.pem, **later)

    assert served.metric(END) > ends + 86_400


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"crt": b"none", "key": b"none"}, "certificate: expected certificates in PEM"),
        ({"key": b"none"}, "key: expected a private key in PEM without a password"),
        ({"ca": b"none"}, "client_ca: expected certificates in PEM"),
    ],
)
def test_what_is_no_pem_is_told_by_its_file(authority, files, said):
    given = {**pair(authority), **files}

    with pytest.raises(ValueError, match=f"^{said}"):
        tls.parse(given["crt"], given["key"], given.get("ca"))


def test_a_server_does_not_start_with_a_key_of_another_certificate(authority, secret):
    mounted = secret(crt=pair(authority)["crt"], key=pair(authority)["key"])
    config = ServerConfig(**settings(mounted))

    with pytest.raises(ConfigError, match=r"^tls_certificate: key: expected the key of the"):
        Server(config, "echo", CollectorRegistry(), [])
