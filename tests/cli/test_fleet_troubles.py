from datetime import UTC, datetime, timedelta

import pytest
from lookalike_cli.fleet_troubles import troubles
from lookalike_cli.replicas import Pin, Refused, Serving, State, Stored
from lookalike_cli.status_line import Line, Load

A, B = "a" * 64, "b" * 64
SINCE = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)


def line(service="search", address="s:1", load=None, **state):
    return Line(service, address, State(reachable=True, ready=True, **state), None, load)


def serving(generation, **other):
    return Serving(A, "dresses", generation, **other)


def test_a_fleet_that_is_well_has_nothing_said_of_it():
    fleet = [
        line("embedder", "e:1", Load(0, 0, 0.9999), serving=[Serving(A)]),
        line(address="s:1", serving=[serving(14)], stored=[Stored("dresses", 14, True)]),
        line(address="s:2", serving=[serving(14)], stored=[Stored("dresses", 14, True)]),
    ]

    assert troubles(fleet) == []


def test_an_embedder_of_a_space_that_nobody_serves_is_named():
    fleet = [line("embedder", "e:1", serving=[Serving(B)]), line(serving=[serving(14)])]

    [said] = troubles(fleet)
    assert said.startswith("embedder e:1: no index serves its space bbbbbbbb, but aaaaaaaa: ")


def test_a_search_replica_that_is_not_ready_says_what_it_waits_for():
    stored = [Stored("dresses", 14, True)]
    missing = State(reachable=True, stored=stored, missing=["coats", "dresses"])
    waiting = Line("search", "s:2", missing, None, None)

    [said] = troubles([line(serving=[serving(14)]), waiting])
    assert said == (
        "search s:2: not ready, so that no caller is sent there: it does not serve "
        "coats (not in the store), dresses yet"
    )


@pytest.mark.parametrize(
    ("missing", "why"),
    [(["dresses"], "it does not serve dresses yet"), ([], "it has not read its store yet")],
)
def test_a_replica_that_sees_nothing_in_its_store_does_not_say_what_is_there(missing, why):
    waiting = Line("search", "s:2", State(reachable=True, missing=missing), None, None)

    [said] = troubles([waiting])
    assert said.endswith(f"no caller is sent there: {why}")


def test_replicas_that_differ_are_counted_and_a_pinned_one_does_not_differ():
    fleet = [
        line(serving=[serving(13, is_current=False)]),
        line(serving=[serving(14)]),
        line(serving=[serving(14)]),
        line(serving=[serving(9, is_pinned=True, is_current=False)]),
    ]

    assert troubles(fleet) == [
        "dresses: the replicas serve different generations: 13 on 1, 14 on 2",
        "* CURRENT names another generation: it is being loaded, or was refused",
    ]


def test_a_replica_that_sees_nothing_new_says_since_when_and_why():
    now = datetime.now(UTC)
    fleet = [
        line(address="s:1", store_read=now - timedelta(minutes=14)),
        line(address="s:2", store_read=now - timedelta(minutes=16)),
        line(address="s:3", store_read=SINCE, store_trouble="/store: expected a folder"),
        line(address="s:4", store_trouble="/store: expected a folder"),
    ]

    moment = f"{now - timedelta(minutes=16):%Y-%m-%d %H:%M}Z"
    cannot = "cannot read its store, or a part of it: /store: expected a folder"
    assert troubles(fleet) == [
        f"search s:2: has not read its store since {moment}: it hangs, or a generation is taken in",
        f"search s:3: {cannot} (read last 2026-11-20 08:30Z)",
        f"search s:4: {cannot} (never read since it started)",
    ]


def test_what_all_replicas_say_is_said_once():
    stored = Stored("dresses", 14, True, SINCE, "lost the shoes")
    fleet = [line(address=f"s:{number}", stored=[stored]) for number in range(3)]

    assert troubles(fleet) == ["dresses: on hold since 2026-11-20 08:30Z: lost the shoes"]


def test_refusals_pins_drift_and_faults_name_their_replica():
    lately = datetime.now(UTC) - timedelta(minutes=10)
    fleet = [
        line(
            serving=[serving(13, internal_errors=1200)],
            refused=[Refused("dresses", 14, "golden_failed", "recall 0.4", lately)],
            pins=[Pin("dresses", 13, SINCE, "to compare")],
        ),
        line("embedder", "e:1", Load(0, 0, 0.98), serving=[Serving(A)]),
    ]

    assert troubles(fleet) == [
        "search s:1: refused dresses 14 10 min ago: golden_failed: recall 0.4",
        "search s:1: dresses is pinned to 13 since 2026-11-20 08:30Z: to compare",
        "embedder e:1: its vectors differ from the model's golden ones: cosine 0.9800",
        "search s:1: 1,200 calls of dresses 13 ended INTERNAL",
    ]


def test_a_generation_that_nobody_serves_is_named_unless_a_hold_says_why():
    left = Stored("dresses", 15, True)
    held = Stored("dresses", 15, True, SINCE, "lost the shoes")

    [said] = troubles([line(serving=[serving(14)], stored=[left])])
    assert said == (
        "dresses: generation 15 is in the store, 14 the newest that is served, and no hold says why"
    )
    assert "15" not in str(troubles([line(serving=[serving(14)], stored=[held])]))


def test_a_refusal_of_the_day_before_is_no_news():
    old = Refused("dresses", 14, "golden_failed", "recall 0.4", SINCE - timedelta(days=9))

    assert troubles([line(serving=[serving(15)], refused=[old])]) == []


def test_a_store_where_nothing_was_ever_published_is_no_trouble():
    assert troubles([line(stored=[Stored("dresses", 0, False)])]) == []
