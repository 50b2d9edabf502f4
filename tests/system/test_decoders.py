"""An embedder and the processes that decode for it: all of it but the model."""

import os
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from lookalike_cli import processes
from lookalike_cli.scrape import scrape
from lookalike_client import Client, Unavailable

from benchmarks.photograph import photograph
from embedder_service.config import PREFIX
from proofs.family import children, descendants, kill
from tests.waiting import until, until_gone

DEATHS = "lookalike_embedder_decoder_deaths_total", ()


@pytest.fixture
def embedder():
    # Few enough that each is busy: one that nobody asks does not know that its process is gone.
    settings = {"model": 1, "decoders": 2}
    with processes.start("benchmarks.embedder_stand_in", PREFIX, settings) as running:
        yield running


def vector_of(client, photo):
    # The machine may be busy with other tests: a late answer is none that failed.
    (embedding,) = client.embed([photo], deadline_seconds=60)
    return embedding.values


def test_decoders_that_are_killed_under_load_fail_no_call(embedder):
    (nursery,) = children(embedder.process.pid)
    assert len(children(nursery)) >= 2
    photos, answers, stop = [photograph(300, 300, n) for n in range(4)], [], threading.Event()
    with (
        Client(embedder=embedder.address) as client,
        ThreadPoolExecutor(8) as pool,
        ExitStack() as at_end,
    ):
        at_end.callback(stop.set)
        expected = [vector_of(client, photo) for photo in photos]
        answered = Counter()

        def ask(number):
            while not stop.is_set():
                answers.append(vector_of(client, photos[number % 4]) == expected[number % 4])
                answered[number] += 1

        callers = [pool.submit(ask, n) for n in range(8)]

        def expect_no_failure():
            for caller in callers:
                if caller.done():
                    caller.result()

        def have_two_more(before):
            expect_no_failure()
            return all(answered[n] > before[n] + 1 for n in range(8))

        for _ in range(10):
            before = answered.copy()
            kill(children(nursery))
            # A file that two of them end over is taken for the cause: none may meet two rounds.
            until(lambda before=before: have_two_more(before))

    expect_no_failure()
    assert all(answers)
    assert scrape(embedder.metrics_address)[DEATHS] >= 10


def test_nothing_is_left_of_an_embedder_that_ends(embedder):
    processes_of_it = descendants(embedder.process.pid)

    assert len(processes_of_it) >= 3
    assert embedder.terminate() == 0
    until_gone(processes_of_it)


def test_nothing_is_left_of_an_embedder_that_is_killed(embedder):
    processes_of_it = descendants(embedder.process.pid)
    embedder.kill()

    until_gone(processes_of_it)


def test_without_its_nursery_an_embedder_ends_and_another_takes_its_calls(embedder):
    (nursery,) = children(embedder.process.pid)
    kill((nursery, *children(nursery)))

    with Client(embedder=embedder.address) as client, pytest.raises(Unavailable):
        client.embed([photograph(300, 300)], deadline_seconds=5)
    assert embedder.process.wait(20) == 1
    assert "decoders_lost" in embedder.log.read_text()


def test_its_threads_keep_to_one_core_if_they_may():
    for setting, cores in (("true", 1), ("false", len(os.sched_getaffinity(0)))):
        settings = {"model": 1, "calls_on_one_core": setting}
        with processes.start("benchmarks.embedder_stand_in", PREFIX, settings) as running:
            assert len(os.sched_getaffinity(running.process.pid)) == cores
            decoders = descendants(running.process.pid)
            assert {len(os.sched_getaffinity(pid)) for pid in decoders} == {
                len(os.sched_getaffinity(0))
            }
