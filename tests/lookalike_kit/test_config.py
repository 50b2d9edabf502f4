from dataclasses import dataclass
from pathlib import Path

import pytest

from lookalike_kit.config import ConfigError, describe, host_and_port, read, setting
from lookalike_kit.server_config import ServerConfig

PREFIX = "SHOP_TILL_"


@dataclass(frozen=True, kw_only=True)
class TillConfig:
    folder: Path = setting(doc="Where the receipts are.")
    poll_seconds: float = setting(1.0, minimum=0.05, maximum=3600, doc="How often to look.")
    lanes: int = setting(4, minimum=1, doc="How many lanes.")
    open_late: bool = setting(False, doc="Whether it is open late.")
    colour: str = setting("red", choices=("red", "blue"), doc="Its colour.")
    names: tuple[str, ...] = setting((), doc="Who works there.")
    spare: Path | None = setting(None, doc="Another folder.")
    address: str = setting("127.0.0.1:80", doc="Where it is.")


def read_till(**variables: str) -> TillConfig:
    environment = {"SHOP_TILL_FOLDER": "/receipts", **variables, "PATH": "/bin"}
    return read(TillConfig, PREFIX, environment, siblings=["SHOP_DOOR_"])


def problems(**variables: str) -> list[str]:
    with pytest.raises(ConfigError) as error:
        read_till(**variables)
    return str(error.value).splitlines()


def test_what_is_not_set_has_its_default():
    assert read_till() == TillConfig(folder=Path("/receipts"))


def test_every_type_is_read():
    till = read_till(
        SHOP_TILL_POLL_SECONDS="0.5",
        SHOP_TILL_LANES="7",
        SHOP_TILL_OPEN_LATE="True",
        SHOP_TILL_COLOUR="blue",
        SHOP_TILL_NAMES="ann, bob,",
        SHOP_TILL_SPARE="/spare",
        SHOP_TILL_ADDRESS="[::1]:0",
    )

    assert till == TillConfig(
        folder=Path("/receipts"),
        poll_seconds=0.5,
        lanes=7,
        open_late=True,
        colour="blue",
        names=("ann", "bob"),
        spare=Path("/spare"),
        address="[::1]:0",
    )


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("POLL_SECONDS", "abc", "a number from 0.05 to 3600"),
        ("POLL_SECONDS", "nan", "a number from 0.05 to 3600"),
        ("POLL_SECONDS", "0", "a number from 0.05 to 3600"),
        ("POLL_SECONDS", "", "a number from 0.05 to 3600"),
        ("LANES", "2.5", "a whole number of at least 1"),
        ("LANES", "0", "a whole number of at least 1"),
        ("OPEN_LATE", "yes", "true or false"),
        ("COLOUR", "green", "one of red, blue"),
        ("FOLDER", "", "a path"),
        ("ADDRESS", "localhost", "HOST:PORT"),
        ("ADDRESS", "localhost:70000", "HOST:PORT"),
        ("ADDRESS", "tcp://10.0.0.1:http", "HOST:PORT"),
    ],
)
def test_a_bad_value_is_told_with_what_was_expected(name, value, expected):
    assert problems(**{PREFIX + name: value}) == [
        f"SHOP_TILL_{name}: expected {expected}, got {value!r}"
    ]


def test_an_empty_optional_is_none():
    assert read_till(SHOP_TILL_SPARE="").spare is None


def test_what_is_required_and_missing_is_told():
    with pytest.raises(ConfigError, match=r"^SHOP_TILL_FOLDER: expected a path, got nothing$"):
        read(TillConfig, PREFIX, {})


@pytest.mark.parametrize("name", ["SHOP_TILL_POL_SECONDS", "SHOP_TIL_POLL_SECONDS"])
def test_a_mistyped_name_is_told_with_the_nearest_one(name):
    assert problems(**{name: "1"}) == [
        f"{name}: unknown setting, did you mean SHOP_TILL_POLL_SECONDS?"
    ]


def test_the_settings_of_siblings_and_strangers_are_theirs():
    assert read_till(SHOP_DOOR_POL_SECONDS="1", SHOPPING="x", OTHER_TILL_FOLDER="y") == read_till()


def test_all_problems_are_told_at_once():
    assert len(problems(SHOP_TILL_LANES="x", SHOP_TILL_COLOUR="x", SHOP_TILL_NAME="x")) == 3


def test_a_subclass_may_change_a_default_and_keep_the_rest():
    @dataclass(frozen=True, kw_only=True)
    class DoorConfig(ServerConfig):
        threads: int = 3

    assert read(DoorConfig, "SHOP_DOOR_", {}).threads == 3
    with pytest.raises(ConfigError, match=r"THREADS: expected a whole number from 1 to 1024"):
        read(DoorConfig, "SHOP_DOOR_", {"SHOP_DOOR_THREADS": "0"})


def test_every_setting_is_described_in_words():
    told = {s.name: (s.type, s.default, s.required) for s in describe(TillConfig, PREFIX)}

    assert told["SHOP_TILL_FOLDER"] == ("a path", "", True)
    assert told["SHOP_TILL_OPEN_LATE"] == ("true or false", "false", False)
    assert told["SHOP_TILL_NAMES"] == ("names, comma separated", "", False)
    assert told["SHOP_TILL_SPARE"] == ("a path, or empty", "", False)
    assert told["SHOP_TILL_POLL_SECONDS"] == ("a number from 0.05 to 3600", "1.0", False)


def test_an_address_is_a_host_and_a_port():
    assert host_and_port("[::1]:80") == ("::1", 80)
    assert host_and_port("localhost:0") == ("localhost", 0)


def server_problems(**settings: object) -> str:
    with pytest.raises(ConfigError) as error:
        ServerConfig(**settings)
    return str(error.value)


@pytest.mark.parametrize("name", ["address", "admin_address"])
@pytest.mark.parametrize("host", ["0.0.0.0", "10.1.2.3", "[::]", "search.internal"])
def test_plain_text_beyond_loopback_has_to_be_meant(name, host):
    said = server_problems(**{name: f"{host}:50061"})

    assert said == (
        f"{name}: expected a loopback address, or TLS_CERTIFICATE and TLS_KEY, or INSECURE=true "
        f"for calls in plain text, got '{host}:50061'"
    )
    ServerConfig(**{name: f"{host}:50061"}, insecure=True)
    ServerConfig(**{name: f"{host}:50061"}, tls_certificate=Path("crt"), tls_key=Path("key"))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "localhost", "[::1]"])
def test_loopback_needs_nothing(host):
    ServerConfig(address=f"{host}:0", admin_address=f"{host}:0")


def test_half_of_what_belongs_together_is_refused():
    said = server_problems(tls_certificate=Path("crt"))
    assert said == "tls_key: expected TLS_CERTIFICATE and TLS_KEY, got one without the other"
    said = server_problems(tls_client_ca=Path("ca"))
    assert said == "tls_client_ca: expected TLS_CERTIFICATE and TLS_KEY with it, got neither"


@pytest.mark.parametrize("setting", [{"max_calls_each": 4}, {"admin_callers": ("ops",)}])
def test_callers_need_something_to_be_known_by(setting):
    [name] = setting

    said = server_problems(**setting)

    assert said == f"{name}: expected TOKENS or TLS_CLIENT_CA, to know callers by, got neither"
    ServerConfig(**setting, tokens=Path("tokens"))


def test_what_a_configuration_says_of_itself_has_the_variables_name():
    with pytest.raises(ConfigError) as error:
        read(ServerConfig, "SHOP_", {"SHOP_ADDRESS": "0.0.0.0:1"})

    assert str(error.value).startswith("SHOP_ADDRESS: expected a loopback address, or ")
