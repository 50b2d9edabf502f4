from pathlib import Path

import pytest
from lookalike_cli import processes
from lookalike_cli.addresses import Replica
from lookalike_cli.replicas import parse_replica

pytest.importorskip("annoy")


@pytest.fixture(scope="module")
def replica(tmp_path_factory):
    folder: Path = tmp_path_factory.mktemp("search")
    (folder / "store").mkdir()
    with processes.search(folder / "store", folder / "cache", log=folder / "log") as running:
        yield running


@pytest.fixture
def option(replica):
    return ",".join((replica.address, replica.admin_address, replica.metrics_address))


def test_a_replica_without_an_index_is_ready_and_says_so(lookalike_command, replica, option):
    result = lookalike_command("status", "--search", option, "--seconds", 0.1)

    assert result.exit_code == 0, result.output
    assert {"search", replica.address, "yes"} <= set(result.output.split())


def test_json_has_every_replica(lookalike_command, replica, option, printed):
    result = lookalike_command(
        *("status", "--search", option, "--search", option, "--seconds", 0.1, "--json")
    )

    replicas = printed(result)["replicas"]
    assert [one["address"] for one in replicas] == [replica.address] * 2
    assert replicas[0]["state"] == {"ready": True, "serving": [], "pins": [], "trouble": ""}
    assert replicas[0]["pace"]["calls_per_second"] == 0.0


def test_a_replica_that_does_not_answer_is_named_and_costs_the_exit_code(lookalike_command, option):
    result = lookalike_command(
        *("status", "--search", option, "--search", "127.0.0.1:1", "--seconds", 0.1)
    )

    assert result.exit_code == 1
    assert "search 127.0.0.1:1: UNAVAILABLE" in result.output


def test_without_anything_to_look_at_it_says_what_to_start(lookalike_command):
    result = lookalike_command("status")

    assert result.exit_code == 1
    assert "lookalike up DIR" in result.output


def test_a_replicas_other_ports_follow_from_its_first():
    assert parse_replica("search-0:50061", "search") == Replica(
        "search-0:50061", "search-0:50062", "search-0:9161"
    )
    assert parse_replica("h:1,h:7,h:8", "embedder") == Replica("h:1", "h:7", "h:8")


def test_an_address_that_cannot_be_meant_is_refused(lookalike_command):
    result = lookalike_command("status", "--search", "search-0")

    assert result.exit_code == 2
    assert "expected HOST:PORT[,ADMIN[,METRICS]], got 'search-0'" in result.output


def test_a_metrics_port_that_speaks_no_http_leaves_its_columns_empty(
    lookalike_command, replica, printed
):
    option = ",".join((replica.address, replica.admin_address, replica.admin_address))

    result = lookalike_command("status", "--search", option, "--seconds", 0, "--json")

    assert printed(result)["replicas"][0]["pace"] is None
