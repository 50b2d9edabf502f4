"""Who calls, by tokens and certificates, through real servers."""

from hashlib import sha256

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from lookalike_kit import calls
from lookalike_kit.callers import parse_tokens

HELLO = StringValue(value="hello")
SHOP, DEPOT = "token-of-the-shop", "token-of-the-depot"


def line(name, token):
    return f"{name} {sha256(token.encode()).hexdigest()}\n".encode()


def bearing(token):
    return (("authorization", f"Bearer {token}"),)


def whoever(_: StringValue, __: grpc.ServicerContext) -> StringValue:
    return StringValue(value=calls.caller())


def refused(attempt, *given, **options):
    with pytest.raises(grpc.RpcError) as error:
        attempt(*given, timeout=20, **options)
    return error.value


def reason(error):
    trailers = dict(error.trailing_metadata())
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return info.reason


@pytest.fixture
def tokens(secret):
    return secret(tokens=b"# who calls\n\n" + line("shop", SHOP) + line("depot", DEPOT))


def test_a_caller_has_the_name_of_its_token(serve, tokens):
    served = serve(whoever, tokens=tokens["tokens"])

    for token, name in ((SHOP, "shop"), (DEPOT, "depot")):
        assert served.say(HELLO, metadata=bearing(token), timeout=20).value == name


@pytest.mark.parametrize(
    ("metadata", "got"),
    [
        ((), "none"),
        ((("authorization", "Basic c2hvcA=="),), "none"),
        (bearing(""), "another"),
        (bearing("a stranger's"), "another"),
        (bearing(sha256(SHOP.encode()).hexdigest()), "another"),
    ],
)
def test_a_call_without_a_known_token_is_refused(serve, tokens, metadata, got):
    served = serve(whoever, tokens=tokens["tokens"])

    error = refused(served.say, HELLO, metadata=metadata)

    assert (error.code(), reason(error)) == (grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")
    assert error.details() == f"authorization: expected Bearer and a known token, got {got}"


def test_tokens_change_without_a_refused_call(serve, tokens):
    served = serve(whoever, tokens=tokens["tokens"])

    for old, new in ((SHOP, "second"), ("second", "third")):
        tokens.replace(tokens=line("shop", old) + line("shop", new))
        for token in (old, new):
            assert served.say(HELLO, metadata=bearing(token), timeout=20).value == "shop"
        tokens.replace(tokens=line("shop", new))
        refused(served.say, HELLO, metadata=bearing(old))


def test_a_file_that_holds_the_token_itself_is_refused_and_not_repeated():
    with pytest.raises(ValueError, match=r"^line 2: expected a name and the SHA-256") as error:
        parse_tokens(line("shop", SHOP) + f"depot {DEPOT}\n".encode())

    assert DEPOT not in str(error.value)


def test_health_needs_no_token_and_reflection_does(serve, tokens):
    served = serve(whoever, tokens=tokens["tokens"], reflection=True)

    request = health_pb2.HealthCheckRequest()
    assert health_pb2_grpc.HealthStub(served.admin).Check(request, timeout=20).status
    for channel in (served.channel, served.admin):
        asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        with pytest.raises(grpc.RpcError) as error:
            list(stub.ServerReflectionInfo(asked, timeout=20))
        assert error.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_a_method_that_is_not_there_leaves_no_trace_in_the_metrics(serve, tokens):
    served = serve(whoever, tokens=tokens["tokens"])

    error = refused(served.channel.unary_unary("/made.up/Name"), b"")

    assert error.code() is grpc.StatusCode.UNIMPLEMENTED
    names = {
        sample.labels.get("grpc_service") for m in served.registry.collect() for sample in m.samples
    }
    assert names == {None}


def test_admin_calls_are_for_those_who_may(serve, tokens):
    served = serve(whoever, tokens=tokens["tokens"], admin_callers=("depot",))
    say = served.admin.unary_unary(
        "/test.v1.AdminService/Say", response_deserializer=StringValue.FromString
    )

    assert say(b"", metadata=bearing(DEPOT), timeout=20).value == "depot"
    error = refused(say, b"", metadata=bearing(SHOP))
    assert (error.code(), reason(error)) == (grpc.StatusCode.PERMISSION_DENIED, "NOT_ALLOWED")
    assert error.details() == "caller: expected one of ADMIN_CALLERS, got shop"


def test_one_callers_calls_are_capped_and_the_others_are_not(serve, gate, tokens):
    served = serve(gate, threads=4, tokens=tokens["tokens"], max_calls_each=2)
    held = [served.say.future(HELLO, metadata=bearing(SHOP)) for _ in range(2)]
    for _ in held:
        gate.wait_for_a_call()

    error = refused(served.say, HELLO, metadata=bearing(SHOP))
    other = served.say.future(HELLO, metadata=bearing(DEPOT))
    gate.wait_for_a_call()
    gate.opened.set()

    assert (error.code(), reason(error)) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS")
    assert int(dict(error.trailing_metadata())["grpc-retry-pushback-ms"]) > 0
    assert [call.result() for call in [*held, other]] == [HELLO] * 3
    assert served.say(HELLO, metadata=bearing(SHOP), timeout=20) == HELLO
    assert served.metric("lookalike_admission_over_cap_total") == 1
    assert served.metric("lookalike_admission_refused_total") == 0


def test_calls_that_expired_or_were_cancelled_no_longer_count(serve, gate, tokens):
    served = serve(gate, threads=1, max_waiting=8, tokens=tokens["tokens"], max_calls_each=4)
    held = served.say.future(HELLO, metadata=bearing(SHOP))
    gate.wait_for_a_call()
    for _ in range(3):
        late = served.say.future(HELLO, metadata=bearing(SHOP), timeout=0.1)
        assert late.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    gate.opened.set()

    again = [served.say.future(HELLO, metadata=bearing(SHOP), timeout=20) for _ in range(3)]
    assert [call.result() for call in [held, *again]] == [HELLO] * 4


def test_a_certificate_is_capped_by_its_first_name(serve, gate, secret, authority):
    certificate, key = authority.sign("the echo", "localhost")
    mounted = secret(crt=certificate, key=key, ca=authority.pem)
    served = serve(
        gate,
        tls_certificate=mounted["crt"],
        tls_key=mounted["key"],
        tls_client_ca=mounted["ca"],
        max_calls_each=1,
    )
    address = served.addresses.address.replace("127.0.0.1", "localhost")

    def as_caller(name):
        own, its_key = authority.sign("a pod", name)
        credentials = grpc.ssl_channel_credentials(authority.pem, its_key, own)
        return grpc.secure_channel(address, credentials).unary_unary("/test.v1.EchoService/Say")

    shop, depot = as_caller("shop"), as_caller("depot")
    held = shop.future(b"", timeout=20)
    gate.wait_for_a_call()
    error = refused(shop, b"")
    other = depot.future(b"", timeout=20)
    gate.wait_for_a_call()
    gate.opened.set()

    assert reason(error) == "TOO_MANY_CALLS"
    assert held.result() == other.result() == b""


def test_the_log_names_the_caller(serve, tokens, lines):
    serve(whoever, tokens=tokens["tokens"]).say(HELLO, metadata=bearing(SHOP), timeout=20)

    assert [(line["event"], line["caller"]) for line in lines()] == [("call", "shop")]
