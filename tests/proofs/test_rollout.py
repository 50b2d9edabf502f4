"""docs/proofs.md, its rolling restarts, in their quick form: one round, with short pauses."""

import json
import subprocess
import sys

import pytest

from proofs import hosts

lacking = hosts.missing()


@pytest.mark.skipif(bool(lacking), reason=f"needs root's network namespaces, got no {lacking}")
def test_a_rolling_restart_of_both_tiers_fails_no_call_and_new_pods_get_their_share():
    small = "--rounds 1 --pods 2 --rate 40 --calls 1 --drain 0.5 --settle 2 --connection-age 2"

    done = subprocess.run(
        [sys.executable, "-m", "proofs.rollout", *small.split()],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["failed"] == 0
    assert figures["calls"] > 100
    assert figures["replaced"] == {"embedder": 2, "search": 2}
    assert max(figures["share_seconds"].values()) <= figures["share_stated_seconds"]
