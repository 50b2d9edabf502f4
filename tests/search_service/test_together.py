"""Searches of several calls as one."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from lookalike.search.v1 import search_pb2 as pb

from lookalike_kit import calls
from lookalike_kit.errors import CallerGone, InvalidField
from search_service.answer import Answer, Stages
from search_service.build import publish
from search_service.generation import Answers, Generation
from search_service.options import read_options
from search_service.query import ByItem, ByVector
from search_service.together import MOST, Together

SPACE = "a" * 64
PLAIN = read_options(pb.SearchOptions(), queries=1)


class Slow:
    """A generation whose searches last until they may end; their answers name their targets."""

    def __init__(self):
        self.searches = []
        self.entered = threading.Semaphore(0)
        self.may_end = threading.Semaphore(0)

    def nearest(self, targets, options):
        self.searches.append([target.values for target in targets])
        self.entered.release()
        self.may_end.acquire()
        calls.check_caller()
        if any(target.values == b"bad" for target in targets):
            raise InvalidField("query", "a good one", "a bad one")
        named = (Answer((target.values,), fewer_exist=False) for target in targets)
        return Answers(tuple(named), self, "annoy", effort=1, stages=Stages(30, 60, 90))


def target(name):
    return ByVector(name, SPACE, "query.embedding.values")


@pytest.fixture
def slow():
    return Slow()


@pytest.fixture
def together():
    return Together(at_once=1)


@pytest.fixture
def pool():
    with ThreadPoolExecutor(64) as threads:
        yield threads


@pytest.fixture
def ask(pool, together, slow):
    """ask(b"a"): the call's future, whose result is what its answer names."""

    def ask(name, options=PLAIN, generation=slow):
        def call():
            return together.nearest(generation, [target(name)], options).answers[0].hits[0]

        return pool.submit(call)

    return ask


def wait_in_line(together, calls):
    while len(together._waiting) < calls:
        time.sleep(0.001)


def test_a_lone_call_searches_at_once(slow, ask):
    call = ask(b"a")
    slow.may_end.release()

    assert call.result(20) == b"a"
    assert slow.searches == [[b"a"]]


def test_calls_that_come_while_one_searches_are_sought_as_one(slow, ask, together):
    first = ask(b"a")
    slow.entered.acquire()
    others = {}
    for at, name in enumerate([b"b", b"c", b"d"], 1):
        others[name] = ask(name)
        wait_in_line(together, at)
    slow.may_end.release(2)

    assert first.result(20) == b"a"
    assert {name: call.result(20) for name, call in others.items()} == {n: n for n in others}
    assert slow.searches == [[b"a"], [b"b", b"c", b"d"]]


def test_calls_that_ask_otherwise_are_sought_apart(slow, ask, together):
    more, another = replace(PLAIN, k=20), Slow()
    calls = [ask(b"a")]
    slow.entered.acquire()
    for at, given in enumerate([(b"b", more), (b"c",), (b"d", PLAIN, another), (b"e", more)], 1):
        calls.append(ask(*given))
        wait_in_line(together, at)
    slow.may_end.release(3)
    another.may_end.release()

    assert [call.result(20) for call in calls] == [b"a", b"b", b"c", b"d", b"e"]
    assert slow.searches == [[b"a"], [b"b", b"e"], [b"c"]]
    assert another.searches == [[b"d"]]


def test_a_search_is_for_so_many_calls_at_most(slow, ask, together):
    calls = [ask(b"a")]
    slow.entered.acquire()
    for at in range(1, MOST + 3):
        calls.append(ask(b"b"))
        wait_in_line(together, at)
    slow.may_end.release(3)

    assert [call.result(20) for call in calls] == [b"a"] + [b"b"] * (MOST + 2)
    assert list(map(len, slow.searches)) == [1, MOST, 2]


def test_one_bad_call_fails_alone(slow, ask, together):
    first = ask(b"a")
    slow.entered.acquire()
    calls = []
    for at, name in enumerate([b"b", b"bad", b"c"], 1):
        calls.append(ask(name))
        wait_in_line(together, at)
    slow.may_end.release(20)

    assert [first.result(20), calls[0].result(20), calls[2].result(20)] == [b"a", b"b", b"c"]
    with pytest.raises(InvalidField):
        calls[1].result(20)
    assert ask(b"d").result(20) == b"d"  # nobody's room was lost


def test_a_call_that_nobody_awaits_any_more_leads_no_others(slow, ask, pool, together):
    first = ask(b"a")
    slow.entered.acquire()

    def gone():
        calls.begin([], lambda: False)
        try:
            together.nearest(slow, [target(b"gone")], PLAIN)
        finally:
            calls.end()

    leader = pool.submit(gone)
    wait_in_line(together, 1)
    others = []
    for at, name in enumerate([b"b", b"c"], 2):
        others.append(ask(name))
        wait_in_line(together, at)
    slow.may_end.release(20)

    with pytest.raises(CallerGone):
        leader.result(20)
    assert [first.result(20), *(call.result(20) for call in others)] == [b"a", b"b", b"c"]
    assert slow.searches == [[b"a"], [b"b", b"c"]]


def test_a_leader_that_goes_in_the_middle_leaves_the_others_their_answers(
    slow, ask, pool, together
):
    first, is_there = ask(b"a"), threading.Event()
    slow.entered.acquire()
    is_there.set()

    def leaves():
        calls.begin([], is_there.is_set)
        try:
            return together.nearest(slow, [target(b"leader")], PLAIN).answers[0].hits[0]
        finally:
            calls.end()

    leader = pool.submit(leaves)
    wait_in_line(together, 1)
    mate = ask(b"b")
    wait_in_line(together, 2)
    slow.may_end.release()
    slow.entered.acquire()
    is_there.clear()
    slow.may_end.release()

    assert [each.result(20) for each in (first, leader, mate)] == [b"a", b"leader", b"b"]
    assert slow.searches == [[b"a"], [b"leader", b"b"]]


def test_each_of_several_calls_has_its_share_of_the_time(slow, pool, together):
    def answers(name):
        return together.nearest(slow, [target(name)], PLAIN)

    found = [pool.submit(answers, b"a")]
    slow.entered.acquire()
    for at, name in enumerate([b"b", b"c", b"d"], 1):
        found.append(pool.submit(answers, name))
        wait_in_line(together, at)
    slow.may_end.release(2)

    stages = [each.result(20).stages for each in found]
    assert stages == [Stages(30, 60, 90), *[Stages(10, 20, 30)] * 3]


def test_what_is_unlike_others_does_not_wait(slow, ask, pool, together):
    first = ask(b"a")
    slow.entered.acquire()
    exact = ask(b"b", replace(PLAIN, recall=1.0))
    several = pool.submit(together.nearest, slow, [target(b"c"), target(b"d")], PLAIN)
    slow.entered.acquire()
    slow.entered.acquire()
    slow.may_end.release(3)

    assert (first.result(20), exact.result(20)) == (b"a", b"b")
    assert len(several.result(20).answers) == 2


def test_answers_are_those_of_each_call_alone(store, builds, pool):
    published = publish(store, "dresses", builds[0])
    generation = Generation.open(published.manifest, published.sha256, store.root / "blobs")
    drawn = np.random.default_rng(5).normal(size=(200, generation.manifest.dimension))
    targets = [target(vector.astype("<f4").tobytes()) for vector in drawn]
    targets.append(ByItem(*generation.segments.item_ids([0]), "query.item_id"))
    together = Together(at_once=2)

    found = pool.map(lambda each: together.nearest(generation, [each], PLAIN).answers, targets)

    assert list(found) == [generation.nearest([each], PLAIN).answers for each in targets]
