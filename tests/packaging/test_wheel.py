"""What a backend installs, in fresh environments: the oldest and the newest libraries allowed."""

import subprocess
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

BACKEND = """
import importlib.metadata as metadata
from lookalike.embedder.v1 import embedder_pb2, embedder_pb2_grpc
from lookalike.search.v1 import admin_pb2, admin_pb2_grpc, search_pb2, search_pb2_grpc
from lookalike.v1 import embedding_pb2, error_reason_pb2
from lookalike_client import NotFound, service_config
from lookalike_client.testing import FakeServices, Refusal

with FakeServices(index="dresses") as services, services.client() as client:
    services.add("d-1", {"d-1/front.jpg": b"one"}, colour="red")
    services.search.refusals.append(Refusal(reason="OVERLOADED", retry_after_seconds=0.01))
    assert client.similar("dresses", b"one", where={"colour": "red"}).hits[0].similarity > 0.999
    try:
        client.search_item("shoes", "d-1")
    except NotFound as error:
        assert error.reason == "UNKNOWN_INDEX" and not error.retryable
assert "round_robin" in service_config()
print(metadata.version("grpcio"), metadata.version("protobuf"))
"""


@pytest.fixture
def shipped(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_holds_the_contracts_and_their_stubs(shipped):
    contracts = {
        path.relative_to(ROOT / "protos").as_posix() for path in (ROOT / "protos").rglob("*.proto")
    }

    assert len(contracts) >= 5
    for contract in contracts:
        stem = contract.removesuffix(".proto")
        wanted = {
            contract,
            *(f"{stem}_pb2{end}" for end in (".py", ".pyi", "_grpc.py", "_grpc.pyi")),
        }
        assert wanted <= shipped


def test_the_wheel_holds_types_and_the_service_config(shipped):
    assert {"lookalike/py.typed", "lookalike_client/py.typed"} <= shipped
    assert "lookalike_client/service_config.json" in shipped


def test_the_wheel_holds_nothing_else(shipped):
    folders = {name.split("/")[0] for name in shipped}

    assert {folder for folder in folders if not folder.endswith(".dist-info")} == {
        "embedder_service",
        "lookalike",
        "lookalike_cli",
        "lookalike_client",
        "lookalike_kit",
        "search_service",
    }


@pytest.mark.parametrize(
    ("resolution", "versions"),
    [("lowest", "1.71.2 5.29."), ("highest", "1.")],
)
def test_a_backend_calls_with_the_oldest_and_the_newest_libraries(install, resolution, versions):
    python = install("", "--resolution", resolution)

    done = subprocess.run(
        [python, "-W", "error", "-c", BACKEND], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(versions)


def test_a_backends_install_is_small(install):
    python = install()

    assert installed(python) <= {
        *("lookalike", "grpcio", "protobuf", "googleapis-common-protos"),
        "typing-extensions",  # grpcio's own
    }


def test_the_command_without_its_extra_says_what_to_install(install):
    python = install()

    done = subprocess.run(
        [python.parent / "lookalike", "status"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert "pip install '.[cli]' in a checkout" in done.stderr


def test_the_commands_own_extra_is_enough_for_its_own_verbs(install):
    python = install("[cli]")

    def lookalike(*words):
        command = [python.parent / "lookalike", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    for verb in ("embed", "search", "status", "up"):
        assert lookalike(verb, "--help")[0] == 0
    assert "UNAVAILABLE" in lookalike("status", "--search", "127.0.0.1:1", "--seconds", "0")[1]
    assert "pip install '.[search]' in a checkout" in lookalike("index", "--help")[1]


def test_a_search_tiers_install_has_no_torch_and_starts(install):
    python = install("[search]")

    assert not {"torch", "torchvision", "pillow"} & installed(python)
    done = subprocess.run(
        [python, "-m", "search_service"], capture_output=True, text=True, check=False, env={}
    )
    assert done.returncode == 2
    assert "LOOKALIKE_SEARCH_STORE" in done.stderr


@pytest.mark.parametrize(
    ("service", "extra"), [("embedder_service", "embedder"), ("search_service", "search")]
)
@pytest.mark.parametrize("base", ["", "[service]"])
def test_a_service_without_its_extra_says_what_to_install(install, tmp_path, base, service, extra):
    python = install(base)

    done = subprocess.run(
        [python, "-m", service],
        capture_output=True,
        text=True,
        check=False,
        env={
            "LOOKALIKE_EMBEDDER_MODEL": str(tmp_path),
            "LOOKALIKE_SEARCH_STORE": str(tmp_path),
            "LOOKALIKE_SEARCH_CACHE": str(tmp_path),
        },
    )

    assert done.returncode == 2
    assert done.stderr.startswith(f"{service} needs ")
    assert done.stderr.endswith(f": pip install '.[{extra}]' in a checkout\n")
    assert done.stderr.count("\n") == 1


def installed(python: Path) -> set[str]:
    code = "import importlib.metadata as m; print(*(d.name.lower() for d in m.distributions()))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    return {name.replace("_", "-") for name in done.stdout.split()}
