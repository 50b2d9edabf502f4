"""A client and a replica that comes and goes."""

import time

import pytest
from lookalike_cli import processes
from lookalike_client import Client, Unavailable

pytest.importorskip("annoy")


@pytest.fixture
def start(tmp_path):
    (tmp_path / "store").mkdir()

    def start(**settings):
        return processes.search(
            tmp_path / "store", tmp_path / "cache", log=tmp_path / "log", **settings
        )

    return start


def test_a_client_outlives_the_kill_and_the_return_of_its_only_replica(start):
    with start() as killed, Client(search=killed.address, deadline_seconds=20) as client:
        client.indexes()
        killed.kill()
        with pytest.raises(Unavailable):
            client.indexes()

        with start(address=killed.address):
            while True:
                try:
                    assert list(client.indexes()) == []
                    break
                except Unavailable:  # until it connects again; the test's own limit ends it
                    time.sleep(0.1)


def test_the_clients_own_settings_do_not_keep_a_service_from_starting(start, monkeypatch):
    monkeypatch.setenv("LOOKALIKE_CLIENT_SEARCH", "127.0.0.1:50061")

    with start(drain_seconds=0) as running:
        assert running.terminate() == 0
