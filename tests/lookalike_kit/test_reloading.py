import threading

import pytest

from lookalike_kit.reloading import Reloading


def as_pair(first: bytes, second: bytes) -> bytes:
    if first != second:
        raise ValueError(f"second: expected {first!r}, got {second!r}")
    return first


@pytest.fixture
def watched(secret):
    """A pair of files that have to be the same, and what was said of their versions."""
    files = secret(a=b"1", b=b"1")
    said = []
    pair = Reloading("pair", [files["a"], files["b"]], as_pair, lambda *told: said.append(told))
    return files, pair, said


def test_a_new_version_is_there_at_the_next_look(watched):
    files, pair, said = watched
    assert pair.current() == b"1"

    files.replace(a=b"2", b=b"2")

    assert pair.current() == b"2"
    assert said == [("pair", "loaded")]


def test_a_bad_version_leaves_the_one_before_and_is_told_once(watched):
    files, pair, said = watched

    files.replace(a=b"2", b=b"3")
    assert [pair.current() for _ in range(3)] == [b"1"] * 3
    assert said == [("pair", "refused")]

    files.replace(a=b"3", b=b"3")
    assert pair.current() == b"3"


def test_a_file_that_is_gone_leaves_the_version_before(watched):
    files, pair, said = watched
    files["a"].unlink()

    assert pair.current() == b"1"
    assert pair.current() == b"1"
    files["a"].write_bytes(b"1")
    assert pair.current() == b"1"
    assert [result for _, result in said] == ["refused", "loaded"]


def test_files_are_never_of_two_versions(secret):
    files = secret(a=b"0", b=b"0")
    said = []
    pair = Reloading("pair", [files["a"], files["b"]], as_pair, lambda *told: said.append(told))
    done = threading.Event()

    def change() -> None:
        for number in range(1, 100):
            files.replace(a=b"%d" % number, b=b"%d" % number)
        done.set()

    threading.Thread(target=change).start()
    while not done.is_set():
        pair.current()

    assert pair.current() == b"99"
    assert {result for _, result in said} == {"loaded"}


def test_the_first_version_has_to_be_good(secret):
    files = secret(a=b"1", b=b"2")

    with pytest.raises(ValueError, match="second: expected"):
        Reloading("pair", [files["a"], files["b"]], as_pair, print)
    with pytest.raises(OSError, match="No such file"):
        Reloading("pair", [files["a"], files.folder / "c"], as_pair, print)
