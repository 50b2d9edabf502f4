"""The proofs of docs/proofs.md in their quick form: a few of each kind of interruption."""

import os
import shutil
import subprocess

import pytest

from proofs import full_disk, kills, lost_writes, mishaps
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


def test_a_replica_killed_in_a_swap_serves_the_next_generation_when_it_is_back(tmp_path):
    tally = kills.Tally()

    kills.kill_replicas(tmp_path, tally, swaps=2)

    assert tally.wrong == []


@pytest.fixture
def mounts(tmp_path):
    """Full disks are small ones of their own."""
    if os.geteuid() != 0:
        pytest.skip("needs root, which may mount")
    try:
        with full_disk.disk(tmp_path / "tried"):
            pass
    except subprocess.CalledProcessError:
        pytest.skip("needs to mount, which is not allowed here")


def test_a_disk_that_fills_up_loses_nothing(mounts, scene, builds, tmp_path):
    tally = full_disk.Tally()

    full_disk.fill_up(scene("rollback"), builds, tmp_path, tally)

    assert tally.wrong == []
    assert tally.rows[0][1] > 1


@pytest.mark.parametrize("trouble", [full_disk.fill_up_a_cache, full_disk.read_only])
def test_a_replica_serves_on_beside_a_disk_that_takes_nothing(mounts, builds, tmp_path, trouble):
    tally = full_disk.Tally()

    trouble(builds, tmp_path, tally)

    assert tally.wrong == []
    assert tally.rows


def test_writers_at_once_lose_nothing(tmp_path):
    tally = mishaps.Tally()

    mishaps.write_at_once(tmp_path, 2, 3, tally)

    assert tally.wrong == []


@pytest.mark.parametrize("damage", ["cache-replaced", "cache-overwritten"])
def test_a_restart_heals_a_cache_that_was_damaged_under_a_replica(tmp_path, damage):
    tally = mishaps.Tally()

    mishaps.damage_the_cache(tmp_path, damage, mishaps.CACHE_DAMAGE[damage], tally)

    assert tally.wrong == []


def test_hostile_names_in_a_store_lead_nowhere(tmp_path):
    tally = mishaps.Tally()

    mishaps.hostile_names(tmp_path, tally)

    assert tally.wrong == []
