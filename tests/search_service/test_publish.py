"""CURRENT moves from one complete generation to another, whoever writes and whoever dies."""

import json
import random
import shutil
import subprocess
import sys
import threading

import pytest

from search_service.build import hold, listing, prune, publish, release, roll_back
from search_service.build.publish import move_back, move_to, read_current, read_manifest
from search_service.manifest import FormatError, blob_key, current_key, manifest_key
from search_service.store import StoreError

SPACE = "a" * 64
OTHER_SPACE = "b" * 64


def served(store, index="dresses"):
    return [(each.space_id, each.generation) for each in read_current(store, index)[1].serving]


def complete(store, index="dresses"):
    """Everything that CURRENT reaches is there, as it was written."""
    for entry in read_current(store, index)[1].serving:
        manifest = read_manifest(store, index, entry.generation, entry.manifest_sha256)
        for blob in manifest.blobs().values():
            assert store.size(blob_key(blob.sha256)) == blob.bytes


def test_a_publish_is_numbered_and_knows_its_parent(store, builds):
    first, second = (publish(store, "dresses", built) for built in builds[:2])

    assert (first.manifest.number, first.manifest.parent) == (1, None)
    assert second.manifest.number == 2
    assert second.manifest.parent.sha256 == first.sha256
    assert served(store) == [(SPACE, 2)]
    complete(store)


def test_the_same_build_published_again_is_a_generation_of_its_own(store, builds):
    first, again = publish(store, "dresses", builds[0]), publish(store, "dresses", builds[0])

    assert again.sha256 != first.sha256
    assert again.manifest.blobs() == first.manifest.blobs()


def test_another_space_is_served_beside_and_after(store, builds, other_build):
    publish(store, "dresses", builds[0])
    publish(store, "dresses", other_build)
    publish(store, "dresses", builds[1])
    assert served(store) == [(SPACE, 3), (OTHER_SPACE, 2)]

    publish(store, "dresses", other_build, only=True)
    assert served(store) == [(OTHER_SPACE, 4)]


def test_rolling_back_goes_to_the_parent_or_to_a_number(store, builds):
    for built in builds:
        publish(store, "dresses", built)

    assert roll_back(store, "dresses").number == 2
    assert roll_back(store, "dresses").number == 1
    with pytest.raises(StoreError, match="expected a generation before 1"):
        roll_back(store, "dresses")
    assert roll_back(store, "dresses", to=3).number == 3
    with pytest.raises(StoreError, match="expected one of the generations 1, 2, 3, got 7"):
        roll_back(store, "dresses", to=7)
    assert served(store) == [(SPACE, 3)]


def test_rolling_back_one_space_leaves_the_other_where_it_is(store, builds, other_build):
    publish(store, "dresses", builds[0])
    publish(store, "dresses", other_build)
    publish(store, "dresses", other_build)
    publish(store, "dresses", builds[1])

    roll_back(store, "dresses", to=2)
    assert served(store) == [(SPACE, 4), (OTHER_SPACE, 2)]
    roll_back(store, "dresses")
    assert served(store) == [(SPACE, 1), (OTHER_SPACE, 2)]


def test_rolling_back_to_a_space_no_longer_served_puts_it_first(store, builds, other_build):
    publish(store, "dresses", builds[0])
    publish(store, "dresses", other_build, only=True)

    roll_back(store, "dresses", to=1)

    assert served(store) == [(SPACE, 1)]


def test_what_was_pruned_cannot_be_rolled_back_to(store, builds):
    first = publish(store, "dresses", builds[0])
    publish(store, "dresses", builds[1])
    store.delete(blob_key(first.manifest.base.blobs["photos"].sha256))

    with pytest.raises(StoreError, match="expected to be there, got pruned"):
        roll_back(store, "dresses")
    assert served(store) == [(SPACE, 2)]


def test_a_damaged_generation_can_be_left_by_its_number(store, builds):
    publish(store, "dresses", builds[0])
    bad = publish(store, "dresses", builds[1])
    (store.root / manifest_key("dresses", 2, bad.sha256)).write_bytes(b"{")

    with pytest.raises(FormatError, match="expected SHA-256"):
        roll_back(store, "dresses")
    assert roll_back(store, "dresses", to=1).number == 1


def test_a_current_that_cannot_be_read_is_mended_by_a_number(store, builds):
    publish(store, "dresses", builds[0])
    store.put(current_key("dresses"), b"garbage")

    for use in (lambda: roll_back(store, "dresses"), lambda: publish(store, "dresses", builds[1])):
        with pytest.raises(FormatError, match="CURRENT: expected Current as JSON"):
            use()
    roll_back(store, "dresses", to=1)
    assert served(store) == [(SPACE, 1)]


def test_while_held_publishes_are_written_and_not_served(store, builds):
    publish(store, "dresses", builds[0])
    hold(store, "dresses", "looking into it")

    assert not publish(store, "dresses", builds[1]).is_current
    assert served(store) == [(SPACE, 1)]
    roll_back(store, "dresses", to=2)
    assert served(store) == [(SPACE, 2)]

    release(store, "dresses")
    assert publish(store, "dresses", builds[2]).is_current
    assert served(store) == [(SPACE, 3)]


def test_what_is_written_first_is_moved_to_later_and_back(store, builds, other_build):
    publish(store, "dresses", builds[0])
    publish(store, "dresses", other_build)
    written = publish(store, "dresses", builds[1], serve=False)
    assert not written.is_current
    assert served(store) == [(SPACE, 1), (OTHER_SPACE, 2)]

    moved = move_to(store, written, only=True)
    assert served(store) == [(SPACE, 3)]
    assert move_back(store, "dresses", moved)
    assert served(store) == [(SPACE, 1), (OTHER_SPACE, 2)]
    complete(store)


def test_nobodys_move_is_undone_by_a_move_that_came_later(store, builds, other_build):
    first = publish(store, "dresses", builds[0], serve=False)
    moved = move_to(store, first)
    assert not move_back(store, "dresses", moved)  # there was nothing before it

    late = publish(store, "dresses", builds[1], serve=False)
    publish(store, "dresses", other_build)  # another space is no matter
    moved = move_to(store, late)
    assert served(store) == [(SPACE, 2), (OTHER_SPACE, 3)]
    overtaken = publish(store, "dresses", builds[2], serve=False)
    roll_back(store, "dresses")
    assert not move_back(store, "dresses", moved)
    assert move_to(store, overtaken) is None
    assert served(store) == [(SPACE, 1), (OTHER_SPACE, 3)]


def test_nothing_moves_to_a_generation_that_was_pruned_after_it_was_written(store, builds):
    publish(store, "dresses", builds[0])
    same, other = (publish(store, "dresses", built, serve=False) for built in builds[:2])
    prune(store, keep=0, grace_seconds=0)

    for pruned in (same, other):
        with pytest.raises((StoreError, FileNotFoundError)):
            move_to(store, pruned)
    assert served(store) == [(SPACE, 1)]
    complete(store)


def test_generations_are_listed_the_newest_first(store, builds):
    for built in builds:
        publish(store, "dresses", built)
    roll_back(store, "dresses", to=2)

    listed = listing(store, "dresses")

    assert [(each.manifest.number, each.is_current) for each in listed] == [
        (3, False),
        (2, True),
        (1, False),
    ]
    with pytest.raises(StoreError, match="expected a published one"):
        listing(store, "shoes")


@pytest.mark.parametrize("name", ["", "..", "../x", "Dresses", "a/b", "x" * 64])
def test_a_hostile_name_is_refused_by_every_verb(store, builds, name):
    for verb in (
        lambda: publish(store, name, builds[0]),
        lambda: roll_back(store, name, to=1),
        lambda: hold(store, name, "why"),
        lambda: release(store, name),
    ):
        with pytest.raises(FormatError, match="expected a name"):
            verb()
    assert list(store.root.iterdir()) == []


def test_an_index_that_is_not_there_is_named_with_those_that_are(store, builds):
    publish(store, "dresses", builds[0])

    for verb in (
        lambda: roll_back(store, "shoes"),
        lambda: hold(store, "shoes", "why"),
        lambda: release(store, "shoes"),
    ):
        with pytest.raises(StoreError, match=r"expected a published one \(dresses\), got shoes"):
            verb()
    assert store.names("indexes") == ["dresses"]


def test_a_folder_that_no_build_left_is_refused(store, builds, tmp_path):
    with pytest.raises(FormatError, match="expected what a build leaves"):
        publish(store, "dresses", tmp_path)

    shutil.copytree(builds[0], tmp_path / "built")
    (tmp_path / "built/forest").unlink()
    with pytest.raises(FormatError, match="forest: expected what a build leaves"):
        publish(store, "dresses", tmp_path / "built")
    assert store.read_or_none(current_key("dresses")) is None


def test_a_build_that_was_changed_is_refused(store, builds, tmp_path):
    shutil.copytree(builds[0], tmp_path / "built")
    with (tmp_path / "built/vectors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"x")

    with pytest.raises(FormatError, match="as built, got"):
        publish(store, "dresses", tmp_path / "built")
    assert store.read_or_none(current_key("dresses")) is None


def test_a_draft_cannot_reach_outside_its_folder(store, builds, tmp_path):
    shutil.copytree(builds[0], tmp_path / "built")
    draft = json.loads((tmp_path / "built/draft.json").read_bytes())
    blobs = draft["segments"][0]["blobs"]
    blobs["../../secret"] = blobs["vectors"]
    (tmp_path / "built/draft.json").write_text(json.dumps(draft))

    with pytest.raises(FormatError, match="expected blobs"):
        publish(store, "dresses", tmp_path / "built")


def test_of_publishers_at_once_each_gets_a_number_and_the_last_is_served(store, builds):
    threads = [
        threading.Thread(target=publish, args=(store, "dresses", builds[i % 3])) for i in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    listed = listing(store, "dresses")
    assert [each.manifest.number for each in listed] == list(range(8, 0, -1))
    assert [each.manifest.parent.number for each in listed[:-1]] == list(range(7, 0, -1))
    assert served(store) == [(SPACE, 8)]
    complete(store)


def test_a_publish_and_a_rollback_at_once_both_happen(store, builds):
    publish(store, "dresses", builds[0])
    publish(store, "dresses", builds[1])
    stop = threading.Event()

    def go_back() -> None:
        while not stop.is_set():
            try:
                roll_back(store, "dresses", to=1)
            except StoreError:
                continue  # moved in between

    thread = threading.Thread(target=go_back)
    thread.start()
    for _ in range(5):
        publish(store, "dresses", builds[2])
    stop.set()
    thread.join()

    assert served(store)[0][1] in (1, 7)
    complete(store)


# Forks a publisher for each line that it reads, and kills it after that many seconds.
PUBLISHERS = """
import os, signal, sys, time
from pathlib import Path
from search_service.build import publish
from search_service.store import Store

for line in sys.stdin:
    child = os.fork()
    while child == 0:
        publish(Store(Path(sys.argv[1])), "dresses", Path(sys.argv[2]))
    time.sleep(float(line))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    print("killed", flush=True)
"""


def test_a_publish_killed_at_any_moment_leaves_current_complete_and_the_next_works(store, builds):
    publish(store, "dresses", builds[0])
    command = [sys.executable, "-c", PUBLISHERS, str(store.root), str(builds[1])]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as publishers:
        for seed in range(20):
            publishers.stdin.write(f"{random.Random(seed).uniform(0.0, 0.05)}\n")
            publishers.stdin.flush()
            assert publishers.stdout.readline() == "killed\n"
            complete(store)
        publishers.stdin.close()

    last = publish(store, "dresses", builds[2])

    assert served(store) == [(SPACE, last.manifest.number)]
    complete(store)
    prune(store, keep=1, grace_seconds=0)
    assert not list(store.root.rglob("*.tmp"))
