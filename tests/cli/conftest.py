import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from lookalike_cli.verbs import lookalike
from lookalike_client.testing import FakeServices

Command = Callable[..., Result]


@pytest.fixture(autouse=True)
def nothing_is_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No `lookalike up` of this machine's user, and none in the working folder."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def services() -> Iterator[FakeServices]:
    with FakeServices(index="dresses") as fakes:
        fakes.add("d-1", {"d-1/front.jpg": b"one"}, colour="red", price=19.5, new=True)
        fakes.add("d-2", {"d-2/front.jpg": b"two"}, colour="blue", tags=("midi", "silk"))
        yield fakes


@pytest.fixture
def lookalike_command() -> Command:
    """`lookalike ARGUMENTS`."""
    return lambda *arguments: CliRunner().invoke(lookalike, [str(one) for one in arguments])


@pytest.fixture
def reachable(services: FakeServices) -> tuple[str, ...]:
    """The options that lead a command to the fakes."""
    return ("--embedder", services.embedder_address, "--search", services.search_address)


@pytest.fixture
def printed() -> Callable[[Result], dict]:
    return lambda result: json.loads(result.stdout)
