import time
from pathlib import Path

import numpy as np
import pytest
from lookalike_cli import processes
from lookalike_cli.addresses import Replica
from lookalike_cli.replicas import at_each, find_replicas, parse_replica

pytest.importorskip("annoy")

SPACE = "5" * 64  # the stand-in embedder's


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """An index of two generations."""
    import pyarrow as pa

    from search_service.build import BuildOptions, Source, build, publish
    from search_service.store import Store

    folder: Path = tmp_path_factory.mktemp("status")
    names = [f"i{number:02d}" for number in range(40)]
    vectors = np.random.default_rng(0).normal(size=(40, 16)).astype(np.float32)
    photos = pa.table({"photo_id": names, "item_id": names})
    options = BuildOptions(engine="exact", golden_queries=10, threads=1)
    build(Source(vectors, photos, SPACE), folder / "built", options)
    (folder / "store").mkdir()
    store = Store(folder / "store")
    for _ in range(2):
        publish(store, "dresses", folder / "built")
    return store


@pytest.fixture(scope="module")
def replica(store, tmp_path_factory):
    cache = tmp_path_factory.mktemp("search") / "cache"
    with processes.search(
        store.root, cache, log=cache.parent / "log", required=["dresses"], poll_seconds=0.05
    ) as running:
        yield running


@pytest.fixture(scope="module")
def embedder(tmp_path_factory):
    log = tmp_path_factory.mktemp("embedder") / "log"
    with processes.start(
        "benchmarks.embedder_stand_in", "LOOKALIKE_EMBEDDER_", {"model": 1}, log
    ) as running:
        yield running


def option(running) -> str:
    return ",".join((running.address, running.admin_address, running.metrics_address))


def words(line: str) -> list[str]:
    return line.split()


def test_every_replica_of_both_services_is_on_one_screen(lookalike_command, replica, embedder):
    result = lookalike_command(
        *("status", "--embedder", option(embedder), "--search", option(replica)),
        *("--seconds", 0.1),
    )

    assert result.exit_code == 0, result.output
    _, first, second, *said = result.output.splitlines()
    assert words(first)[:4] == ["embedder", embedder.address, "ready", SPACE[:8]]
    assert "0 images" in first
    assert words(second)[:5] == ["search", replica.address, "ready", "dresses", "2"]
    assert SPACE[:8] in second
    assert "0 calls" in second
    assert said == []


def test_json_has_every_replica(lookalike_command, replica, printed):
    result = lookalike_command(
        *("status", "--search", option(replica), "--search", option(replica)),
        *("--seconds", 0, "--json"),
    )

    told = printed(result)
    assert [one["address"] for one in told["replicas"]] == [replica.address] * 2
    [serving] = told["replicas"][0]["state"]["serving"]
    assert (serving["index"], serving["generation"], serving["items"]) == ("dresses", 2, 40)
    assert serving["live_recall"] is None
    [stored] = told["replicas"][0]["state"]["stored"]
    assert (stored["newest"], stored["has_current"]) == (2, True)
    assert told["replicas"][0]["load"]["in_flight"] == 0
    assert told["troubles"] == []


def test_a_replica_that_does_not_answer_is_named_and_costs_the_exit_code(
    lookalike_command, replica
):
    result = lookalike_command(
        *("status", "--search", option(replica), "--search", "127.0.0.1:1", "--seconds", 0)
    )

    assert result.exit_code == 1
    assert "search 127.0.0.1:1: does not answer: UNAVAILABLE" in result.output
    assert "no answer" in result.output


def test_a_store_without_current_is_named_with_the_command_that_mends_it(
    lookalike_command, store, tmp_path
):
    from search_service.build import hold
    from search_service.manifest import current_key

    bare = tmp_path / "store"
    (bare / "indexes").mkdir(parents=True)
    (bare / "blobs").symlink_to(store.root / "blobs")
    (bare / "indexes" / "dresses").mkdir()
    generations = bare / "indexes" / "dresses" / "generations"
    generations.symlink_to(store.root / "indexes" / "dresses" / "generations")
    with processes.search(bare, tmp_path / "cache", poll_seconds=0.05) as running:

        def said(text):
            end = time.monotonic() + 20
            while text not in (told := lookalike_command(*asked).output):
                assert time.monotonic() < end, told
            return told

        asked = ("status", "--search", option(running), "--seconds", 0.05)
        told = said("dresses: the store has no CURRENT of it; its newest generation is 2")
        assert "lookalike index rollback dresses --to 2 --store STORE" in told
        (bare / current_key("dresses")).write_bytes(store.read(current_key("dresses")))
        hold(type(store)(bare), "dresses", "lost the shoes")
        assert "dresses: on hold since" in said("lost the shoes")


def test_without_anything_to_look_at_it_says_what_to_start(lookalike_command):
    result = lookalike_command("status")

    assert result.exit_code == 1
    assert "lookalike up DIR" in result.output


def test_the_environment_names_a_fleet(lookalike_command, monkeypatch):
    monkeypatch.setenv("LOOKALIKE_CLIENT_SEARCH", "dns:///127.0.0.1:1")

    assert (
        "search 127.0.0.1:1: does not answer" in lookalike_command("status", "--seconds", 0).output
    )


def test_a_replicas_other_ports_follow_from_its_first():
    assert parse_replica("search-0:50061", "search") == Replica(
        "search-0:50061", "search-0:50062", "search-0:9161"
    )
    assert parse_replica("h:1,h:7,h:8", "embedder") == Replica("h:1", "h:7", "h:8")


def test_a_name_with_several_addresses_is_as_many_replicas():
    replica = parse_replica("search:50061", "search")

    assert at_each(["10.0.0.7"], replica) == [replica]
    assert at_each(["10.0.0.7", "fd00::7"], replica) == [
        Replica("10.0.0.7:50061", "10.0.0.7:50062", "10.0.0.7:9161", "search"),
        Replica("[fd00::7]:50061", "[fd00::7]:50062", "[fd00::7]:9161", "search"),
    ]


def test_a_name_that_nobody_knows_is_one_replica():
    assert find_replicas("dns:///nobody.invalid:50061", "search") == [
        Replica("nobody.invalid:50061", "nobody.invalid:50062", "nobody.invalid:9161")
    ]


def test_an_address_that_cannot_be_meant_is_refused(lookalike_command):
    result = lookalike_command("status", "--search", "search-0")

    assert result.exit_code == 2
    assert "expected HOST:PORT[,ADMIN[,METRICS]], got 'search-0'" in result.output


def test_a_metrics_port_that_speaks_no_http_leaves_its_columns_empty(
    lookalike_command, replica, printed
):
    given = ",".join((replica.address, replica.admin_address, replica.admin_address))

    result = lookalike_command("status", "--search", given, "--seconds", 0, "--json")

    told = printed(result)["replicas"][0]
    assert (told["pace"], told["load"]) == (None, None)
