"""The proofs of docs/proofs.md in their quick form: a few of each kind of interruption."""

import os
import shutil
import subprocess

import pytest

from proofs import full_disk, kills, lost_writes
from proofs.scenes import Builds, scenes

needs_strace = pytest.mark.skipif(
    shutil.which("strace") is None, reason="needs strace: .ci/system-packages strace"
)


@pytest.fixture(scope="module")
def builds(tmp_path_factory):
    return Builds.make(tmp_path_factory.mktemp("builds"))


@pytest.fixture
def scene(builds):
    """scene(name): one of those that write to a store."""
    named = {each.name: each for each in scenes(builds)}
    return lambda name: named[name]


@needs_strace
@pytest.mark.parametrize("name", ["publish, first", "add", "prune"])
def test_a_power_cut_leaves_current_with_whole_generations(scene, builds, name, tmp_path):
    tally = lost_writes.Tally()

    lost_writes.cut_power(scene(name), builds.next, tmp_path, most=4, tally=tally)

    assert tally.wrong == []
    assert tally.states[name] > 20


@needs_strace
@pytest.mark.parametrize("name", ["publish, again", "remove", "prune"])
def test_a_kill_leaves_current_with_whole_generations(scene, builds, name, tmp_path):
    tally = kills.Tally(starts_replicas=False)

    kills.Interrupted(scene(name), builds.next, tmp_path, tally).run(every=40, at_random=1)

    assert tally.wrong == []
    assert tally.kills[name] > 2


@needs_strace
def test_a_replica_killed_while_a_generation_comes_needs_no_cleaning(builds, tmp_path):
    tally = kills.Tally(starts_replicas=False)

    kills.kill_takings_in(builds, tmp_path, tally, every=45)

    assert tally.wrong == []
    assert min(tally.kills["a replica's taking in"], tally.kills["a replica's copying"]) >= 1


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, which may mount")
def test_a_disk_that_fills_up_loses_nothing(scene, builds, tmp_path):
    try:
        with full_disk.disk(tmp_path / "disk"):
            pass
    except subprocess.CalledProcessError:
        pytest.skip("needs to mount, which is not allowed here")
    tally = full_disk.Tally()

    full_disk.fill_up(scene("rollback"), builds, tmp_path, tally)

    assert tally.wrong == []
    assert tally.rows[0][1] > 1
