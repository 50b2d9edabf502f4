import os
import subprocess
import sys

import pytest
from lookalike_cli.addresses import Replica, Up

EMBEDDER = Replica("127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3")
SEARCH = Replica("127.0.0.1:4", "127.0.0.1:5", "127.0.0.1:6")


@pytest.fixture
def up():
    return Up(os.getpid(), EMBEDDER, SEARCH)


def test_what_was_started_is_found_in_its_folder(up, tmp_path):
    up.write(tmp_path)

    assert Up.find(tmp_path) == up


def test_what_was_started_last_is_found_from_anywhere(up, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    up.write(tmp_path)
    monkeypatch.chdir(elsewhere)

    assert Up.find() == up


def test_one_here_comes_before_one_elsewhere(up, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    here = Up(os.getpid(), SEARCH, EMBEDDER)
    here.write(tmp_path)
    up.write(other)

    assert Up.find() == here


def test_one_whose_process_is_gone_is_not_there(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    Up(gone.pid, EMBEDDER, SEARCH).write(tmp_path)

    assert Up.find() is None


@pytest.mark.parametrize("damaged", [b"", b"{", b"[]", b"{}", b'{"pid": 1, "embedder": {}}'])
def test_a_damaged_note_is_none(up, tmp_path, damaged):
    up.write(tmp_path)
    (tmp_path / "up.json").write_bytes(damaged)

    assert Up.find() is None


def test_nothing_was_ever_started():
    assert Up.find() is None


def test_one_that_still_starts_is_not_found_and_said(tmp_path, lookalike_command):
    Up.begin(tmp_path)

    assert Up.find(tmp_path) is None
    assert Up.process(tmp_path) == os.getpid()
    for verb in (("search", "--item", "d-1"), ("status",), ("explain", "9f3c2a17")):
        done = lookalike_command(*verb, "--up", tmp_path)
        assert done.exit_code == 1
        assert f"got one that still starts: {tmp_path}/logs" in done.output.replace("\n", "")
