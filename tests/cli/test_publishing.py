"""`lookalike index publish | pin | status` before a real replica."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from lookalike_cli import processes
from lookalike_cli.verbs import lookalike

pytest.importorskip("annoy")


def run(*arguments):
    return CliRunner().invoke(lookalike, [str(each) for each in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """vectors/ as `lookalike embed` leaves it, built/ from it, and an empty store/."""
    folder = tmp_path_factory.mktemp("publishing")
    (folder / "vectors").mkdir()
    (folder / "store").mkdir()
    drawn = np.random.default_rng(0).standard_normal((30, 16)).astype(np.float32)
    np.save(folder / "vectors/vectors.npy", drawn)
    rows = [f"p{row:02d},i{row // 3}" for row in range(30)]
    (folder / "vectors/photos.csv").write_text("\n".join(["photo_id,item_id", *rows]) + "\n")
    (folder / "vectors/space.json").write_text(json.dumps({"space_id": "a" * 64}))
    done = run("index", "build", folder / "vectors", "-o", folder / "built")
    assert done.exit_code == 0, done.output
    return folder


@pytest.fixture(scope="module")
def replica(folder):
    with processes.search(
        folder / "store", folder / "cache", log=folder / "log", poll_seconds=0.05
    ) as running:
        yield ("--replica", f"{running.address},{running.admin_address}")


@pytest.fixture(scope="module")
def publish(folder, replica):
    """publish(more options): with --watch 0, before the replica."""

    def publish(*options):
        given = (folder / "built", "dresses", "--store", folder / "store")
        return run("index", "publish", *given, *replica, "--watch", 0, *options)

    return publish


def test_from_a_watched_publish_to_a_pin_and_back(publish, folder, replica):
    store = ("--store", folder / "store")
    done = publish("--wait", 1)
    assert done.exit_code == 0, done.output
    assert "dresses: generation 1 is served by 1 of 1 replicas, watched for 0 s" in done.output

    done = publish("--json")
    told = json.loads(done.stdout)
    assert (told["generation"], told["ending"], told["fate"]) == (2, "served", "moved")

    reason = "2 lost the shoes"
    pinned = run("index", "pin", "dresses", 1, *store, *replica, "--reason", reason)
    assert (pinned.exit_code, "dresses is pinned to 1" in pinned.output) == (0, True)
    refused = publish()
    assert refused.exit_code == 1
    assert "expected a replica to try it, got none" in refused.output
    assert "none answers that follows CURRENT); CURRENT stays" in refused.output

    shown = run("index", "status", "dresses", *store, *replica)
    assert shown.output.startswith("dresses: CURRENT is 2\n")
    assert "1*" in shown.output
    serving = replica[1].partition(",")[0]
    assert f"\n{serving} " in shown.output
    named = run("index", "status", "dresses", *store, "--replicas", replica[1])
    assert f"\n{serving} " in named.output
    assert f"Z: {reason}; * CURRENT names another" in shown.output
    address = replica[1]
    shown = run("status", "--search", address, "--seconds", 0)
    assert "dresses is pinned to 1 since" in shown.output

    assert run("index", "unpin", "dresses", *replica).exit_code == 0
    assert publish().exit_code == 0
    told = json.loads(run("index", "status", "dresses", *store, *replica, "--json").stdout)
    (one,) = told["replicas"]
    assert [each["generation"] for each in one["serving"]] == [4]
    assert one["pins"] == []
    shown = run("index", "status", "dresses", *store, "--replica", "127.0.0.1:1")
    assert "does not answer" in shown.output
    assert [each["current"] for each in told["generations"]] == [True, False, False, False]


def test_changes_of_an_index_stay_if_the_replica_can_live_with_them(publish, folder, replica):
    at = ("dresses", "--store", folder / "store", *replica, "--watch", 0)
    assert publish().exit_code == 0

    added = run("index", "add", at[0], folder / "vectors", *at[1:])
    removed = json.loads(run("index", "remove", at[0], "i3", *at[1:], "--json").stdout)
    nothing = run("index", "remove", at[0], "nobody", *at[1:])
    compacted = run("index", "compact", *at)
    refused = run("index", "remove", *at[:3], "i4", "--replica", "127.0.0.1:1")

    assert (added.exit_code, "10 items changed" in added.output) == (0, True)
    assert "is served by 1 of 1 replicas, watched for 0 s" in added.output
    (change,) = removed["changes"]
    assert (change["removed"], change["ending"], change["fate"]) == (1, "served", "moved")
    assert (nothing.exit_code, "nothing changes" in nothing.output) == (0, True)
    assert (compacted.exit_code, "is served by 1 of 1 replicas" in compacted.output) == (0, True)
    assert refused.exit_code == 1
    assert "expected a replica to try it, got none" in refused.output
    assert "CURRENT stays" in refused.output


def test_a_replica_that_refuses_or_is_away_costs_the_exit_code(folder, replica):
    nobody = ("--replica", "127.0.0.1:1")
    done = run("index", "unpin", "dresses", *nobody)
    assert done.exit_code == 1
    assert "127.0.0.1:1: UNAVAILABLE" in done.output

    shown = run("index", "status", "coats", "--store", folder / "store", *nobody)
    assert (shown.exit_code, "expected a published one" in shown.output) == (1, True)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--wait", 1), "expected --replica or --replicas with it, got neither"),
        (("--wait", 2, "--replica", "h:1"), "--wait: expected at most the 1 named, got 2"),
        (("--replica", "h:1", "--replicas", "h:1"), "expected either it or --replicas, got both"),
        (("--replica", "h"), "--replica: expected HOST:PORT[,ADMIN[,METRICS]], got 'h'"),
        (("--replica", "h:1,h"), "expected HOST:PORT as the admin port, got 'h'"),
        (
            ("--replicas", "no-such-host.invalid:1"),
            "expected a name with addresses, got no-such-host.invalid:1 (",
        ),
    ],
)
def test_replicas_that_cannot_be_meant_are_refused(folder, options, words):
    done = run("index", "publish", folder / "built", "coats", "--store", folder / "store", *options)

    assert done.exit_code in (1, 2)
    assert words in " ".join(done.output.split())
    assert "Errno" not in done.output
    assert not (folder / "store/indexes/coats/CURRENT").exists()


def test_what_is_not_there_cannot_be_pinned(folder, replica):
    done = run(
        *("index", "pin", "dresses", 99, "--store", folder / "store"),
        *(*replica, "--reason", "why"),
    )

    assert done.exit_code == 1
    assert "dresses: expected a whole generation 99, got none" in done.output
