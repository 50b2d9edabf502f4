"""The disk that proofs cut the power of: no better than POSIX promises."""

from random import Random

from proofs.disk import Disk


def left(disk):
    return list(disk.after_power_cut(1_000, Random(0)))


def test_what_was_never_synced_may_be_there_be_missing_or_be_there_in_part():
    disk = Disk()
    disk.create("a", truncate=True)
    disk.write("a", b"12345678")

    found = left(disk)

    assert {} in found
    for content in (b"", b"1234", b"1234\0\0\0\0", b"12345678"):
        assert {"a": content} in found


def test_a_synced_file_under_a_name_that_was_not_may_be_gone_but_not_torn():
    disk = Disk()
    disk.create("a", truncate=True)
    disk.write("a", b"new")
    disk.sync("a")

    assert left(disk) == [{}, {"a": b"new"}]


def test_a_rename_is_the_old_file_or_the_new_one_whatever_became_of_the_other_name():
    disk = Disk()
    for name, content in (("a", b"old"), ("b", b"new")):
        disk.create(name, truncate=True)
        disk.write(name, content)
        disk.sync(name)
    disk.sync(".")
    disk.rename("b", "a")

    found = left(disk)

    assert {state["a"] for state in found} == {b"old", b"new"}
    assert {"b" in state for state in found} == {True, False}
    disk.sync(".")
    assert left(disk) == [{"a": b"new"}]


def test_what_lies_in_a_folder_goes_with_the_folders_name():
    disk = Disk()
    disk.make_folder("f")
    disk.create("f/a", truncate=True)
    disk.sync("f/a")
    disk.sync("f")

    assert left(disk) == [{}, {"f": None, "f/a": b""}]


def test_where_there_is_too_much_the_oldest_and_the_latest_are_among_what_is_tried():
    disk = Disk()
    for number in range(12):
        disk.create(f"{number:02}", truncate=True)

    found = list(disk.after_power_cut(20, Random(0)))

    assert len(found) == 20
    assert found[0] == {}
    assert len(found[1]) == 12
