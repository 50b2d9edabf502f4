import json
import os

import click
import pytest
from lookalike_cli.addresses import Replica, Up
from lookalike_cli.up import choose_model

OLD, NEW = "a" * 64, "b" * 64


@pytest.fixture
def store(tmp_path):
    for space, seconds in ((OLD, 1_000), (NEW, 2_000)):
        description = tmp_path / "models" / space / "model.json"
        description.parent.mkdir(parents=True)
        description.write_text("{}")
        os.utime(description, (seconds, seconds))
    return tmp_path


def serve(store, space):
    current = store / "indexes" / "dresses" / "CURRENT"
    current.parent.mkdir(parents=True)
    current.write_text(json.dumps({"schema": 1, "serving": [{"space_id": space}]}))


def test_the_newest_model_is_taken(store):
    assert choose_model(store).name == NEW


def test_a_model_that_an_index_serves_comes_before_a_newer_one(store):
    serve(store, OLD)

    assert choose_model(store).name == OLD


def test_an_index_of_a_model_that_is_not_here_changes_nothing(store):
    serve(store, "c" * 64)

    assert choose_model(store).name == NEW


@pytest.mark.parametrize("damaged", [b"", b"{", b"[]", b'{"serving": []}', b"\xff"])
def test_a_damaged_current_is_left_to_the_search_service(store, damaged):
    serve(store, OLD)
    (store / "indexes" / "dresses" / "CURRENT").write_bytes(damaged)

    assert choose_model(store).name == NEW


def test_the_model_asked_for_is_taken(store):
    assert choose_model(store, OLD).name == OLD


def test_a_model_that_is_not_here_is_refused_with_those_that_are(store):
    with pytest.raises(click.ClickException, match=f"expected one of {OLD}, {NEW}, got nope"):
        choose_model(store, "nope")


def test_a_folder_without_a_model_is_refused(lookalike_command, tmp_path):
    result = lookalike_command("up", tmp_path)

    assert result.exit_code == 1
    assert "expected a model, got none" in result.output


@pytest.mark.torch
def test_a_folder_with_a_running_one_is_refused_and_left_alone(lookalike_command, store):
    pytest.importorskip("torch")
    nowhere = Replica("127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3")
    running = Up(os.getpid(), nowhere, nowhere)
    running.write(store)

    result = lookalike_command("up", store, "--free-ports")

    assert result.exit_code == 1
    assert f"got one that runs (process {os.getpid()})" in " ".join(result.output.split())
    assert Up.find(store) == running


@pytest.mark.torch
def test_a_model_that_does_not_load_leaves_the_services_own_words(lookalike_command, store):
    pytest.importorskip("torch")

    result = lookalike_command("up", store, "--free-ports")

    assert result.exit_code == 1
    assert "embedder_service: expected to serve, got exit code 2" in result.output
    assert not (store / "up.json").exists()
